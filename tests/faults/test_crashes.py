"""A worker that dies at any moment, or is asked to stop, loses nothing."""

from __future__ import annotations

import random
import time
from itertools import product
from typing import TYPE_CHECKING

import pytest

from tests.faults.aftermath import QUICK, check_aftermath, check_answers
from tests.integration.stream import send_stream, under_load, untidy_stream
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster


pytestmark = pytest.mark.faults

SABOTAGE = "tests.faults.sabotage"
STEPS = [
    *("fence", "claim", "prepare", "handover", "freeze"),
    *("send", "offsets", "commit", "flush"),
]
POINTS = [f"{when} {step}" for step, when in product(STEPS, ["before", "after"])]
#: How often a worker with little to do certainly reaches a step; others: once per partition.
TIMES = {"fence": 1, "offsets": 2, "commit": 2}

#: A worker with an instance id of its own gets its partitions back without a wait.
STATIC = {**QUICK, "CONSUMER_GROUP_INSTANCE_ID": "a"}


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_cluster(**STATIC)
    cluster.create_topic(cluster.events)
    return cluster


def times(point: str) -> int:
    """Return how often a worker with little to do reaches a point."""
    return TIMES.get(point.split()[1], 4)


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.timeout(400)
def test_kill_9_at_random_moments_under_load_loses_and_doubles_nothing(
    cluster: Cluster, kills: int
) -> None:
    rng = random.Random(kills)
    worker = cluster.worker().start()
    with under_load(cluster, untidy_stream(8000 * kills, seed=20 + kills), rate=1500) as load:
        for number in range(kills):
            # Sometimes in the middle of its start, sometimes long after it.
            time.sleep(rng.uniform(1.0, 5.0))
            assert not load.done(), f"kill {number} has to fall into the load"
            worker.kill()
            worker.launch()
    oracle = check_aftermath(cluster, worker)
    assert oracle.viral(oracle.latest() or 0)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [6, 20])
def test_kill_9_again_and_again_within_a_second_loses_and_doubles_nothing(
    cluster: Cluster, kills: int
) -> None:
    rng = random.Random(kills)
    worker = cluster.worker().start()
    stream = untidy_stream(12_000, seed=21)
    send_stream(cluster, stream[:6000])
    with under_load(cluster, stream[6000:], rate=1500):
        for _ in range(kills):
            worker.kill()
            worker.launch()
            time.sleep(rng.uniform(0.1, 1.0))
    check_aftermath(cluster, worker)


def test_a_crash_at_each_step_loses_and_doubles_nothing(cluster: Cluster) -> None:
    """One step after another, each with new events; each start recovers from the last crash."""
    worker = cluster.worker()
    stream = untidy_stream(1000 * len(POINTS), seed=22)
    for number, point in enumerate(POINTS):
        send_stream(cluster, stream[number :: len(POINTS)])
        # The first occurrence, or that of another partition.
        worker.launch(SABOTAGE, FAULT=point, FAULT_HIT=min(1 + number % 4, times(point)))
        assert worker.wait_exit() == -9, point
    worker.start()
    check_aftermath(cluster, worker)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_after_a_crash_at_this_step_everything_is_mended_by_the_next_start(
    cluster: Cluster, point: str
) -> None:
    worker = cluster.worker()
    send_stream(cluster, untidy_stream(3000, seed=23))
    worker.launch(SABOTAGE, FAULT=point, FAULT_HIT=min(3, times(point)))
    assert worker.wait_exit() == -9
    worker.start()
    check_aftermath(cluster, worker)


@pytest.mark.parametrize("point", ["before commit", "after commit"])
def test_a_commit_of_which_no_answer_comes_is_settled_by_opening_the_task_again(
    cluster: Cluster, point: str
) -> None:
    """Before: the transaction is void. After: it is committed, and must not be repeated."""
    worker = cluster.worker().start(SABOTAGE, FAULT=point, FAULT_HIT=5, FAULT_ACTION="lose")
    with under_load(cluster, untidy_stream(6000, seed=24), rate=2000):
        wait_until(
            lambda: "their events are processed again" in worker.output(), "a commit has failed"
        )
    check_aftermath(cluster, worker)


def test_sigterm_under_load_drains_commits_and_leaves_within_ten_seconds(
    make_cluster: Callable[..., Cluster],
) -> None:
    """The next worker need not wait for the session of a worker that has left."""
    cluster = make_cluster(REELS_VIRAL_MIN_VIEWS=20, BROKER_SESSION_TIMEOUT=120)
    cluster.create_topic(cluster.events)
    first, second = cluster.worker("a").start(), cluster.worker("b")
    with under_load(cluster, untidy_stream(10_000, seed=25), rate=1500) as load:
        wait_until(lambda: sum(cluster.committed(cluster.events).values()) > 1000, "commits")
        assert first.terminate(timeout=10) == 0
        assert not load.done(), "SIGTERM has to fall into the load"
        second.start()
    check_answers(cluster, second)
    first.start()
    check_aftermath(cluster, first, second)
