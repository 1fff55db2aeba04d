"""Workers that join, leave and sleep too long: partitions move, and counts stay."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.aftermath import QUICK, check_aftermath, check_answers
from tests.faults.test_crashes import SABOTAGE
from tests.integration.stream import send_stream, under_load, untidy_stream
from tests.worker import is_stopped, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster


pytestmark = [pytest.mark.faults, pytest.mark.slow]


def test_a_standby_takes_over_what_a_dead_worker_had(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(**QUICK, TABLE_STANDBY_REPLICAS=1)
    cluster.create_topic(cluster.events)
    first, second = cluster.worker("a").start(), cluster.worker("b").start()
    stream = untidy_stream(20_000, seed=14)
    send_stream(cluster, stream[:10_000])
    cluster.wait_until_applied()
    first.kill()
    send_stream(cluster, stream[10_000:])
    check_answers(cluster, second)
    check_aftermath(cluster, first.start(), second)


@pytest.mark.parametrize("seconds", [9, pytest.param(40, marks=pytest.mark.slow)])
def test_a_worker_that_slept_through_its_session_does_no_harm_when_it_wakes(
    cluster: Cluster, seconds: int
) -> None:
    """It still believes that it owns its partitions, and has uncommitted events of them.

    ::

        a    |---- processes, commits ----|      asleep      |-- fenced, joins again --|
        b    |-----------------------------| takes over a's partitions ------------|
    """
    first, second = cluster.worker("a").start(), cluster.worker("b").start()
    with under_load(cluster, untidy_stream(1500 * (seconds + 8), seed=15), rate=1500):
        wait_until(lambda: any(cluster.committed(cluster.events).values()), "the first commit")
        time.sleep(1)
        os.kill(first.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(first.pid, signal.SIGCONT)
    check_aftermath(cluster, first, second)


@pytest.mark.parametrize("point", ["before offsets", "before commit", "after commit"])
def test_a_worker_that_falls_asleep_in_the_middle_of_a_commit_is_fenced(
    cluster: Cluster, point: str
) -> None:
    """The transaction of all its partitions is open when other workers take these over."""
    first = cluster.worker("a")
    first.start(SABOTAGE, FAULT=point, FAULT_HIT=20, FAULT_ACTION="stop")
    second = cluster.worker("b").start()
    with under_load(cluster, untidy_stream(30_000, seed=26), rate=1500):
        wait_until(lambda: is_stopped(first.pid), "it sleeps")
        asleep_at = cluster.committed(cluster.events)
        wait_until(
            lambda: all(
                at > asleep_at[partition]
                for partition, at in cluster.committed(cluster.events).items()
            ),
            "the other one commits all partitions",
        )
        os.kill(first.pid, signal.SIGCONT)
    check_aftermath(cluster, first, second)


@pytest.mark.parametrize("point", ["after fence", "before claim", "after claim"])
def test_a_worker_that_falls_asleep_while_it_opens_a_partition_does_no_harm(
    cluster: Cluster, point: str
) -> None:
    """It may have locked partitions that another worker owns when it wakes."""
    first, second = cluster.worker("a").start(), cluster.worker("b")
    with under_load(cluster, untidy_stream(40_000, seed=27), rate=1500):
        wait_until(lambda: any(cluster.committed(cluster.events).values()), "the first commit")
        second.launch(SABOTAGE, FAULT=point, FAULT_ACTION="stop")
        wait_until(lambda: is_stopped(second.pid), "it sleeps")
        time.sleep(12)
        os.kill(second.pid, signal.SIGCONT)
    check_aftermath(cluster, first, second)


@pytest.mark.slow
def test_a_worker_that_dozes_off_again_and_again_does_no_harm(cluster: Cluster) -> None:
    """It sleeps for about the session timeout: sometimes it is removed, sometimes not."""
    rng = random.Random(16)
    first, second = cluster.worker("a").start(), cluster.worker("b").start()
    with under_load(cluster, untidy_stream(60_000, seed=16), rate=1000) as load:
        while not load.done():
            time.sleep(rng.uniform(1.0, 5.0))
            os.kill(first.pid, signal.SIGSTOP)
            time.sleep(rng.uniform(3.0, 8.0))
            os.kill(first.pid, signal.SIGCONT)
    check_aftermath(cluster, first, second)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_scaling_from_one_worker_to_four_and_back_under_load_changes_nothing(
    cluster: Cluster,
) -> None:
    workers = [cluster.worker(name) for name in "abcd"]
    with under_load(cluster, untidy_stream(40_000, seed=17), rate=500) as load:
        workers[0].start()
        workers[1].start()
        for worker in workers[2:]:
            worker.launch()
        for worker in workers[2:]:
            worker.wait_ready()
        for worker in workers[1:]:
            assert worker.terminate() == 0
        assert not load.done(), "the load has to last"
    check_aftermath(cluster, workers[0])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_rolling_restart_of_three_workers_under_load_changes_nothing(cluster: Cluster) -> None:
    workers = [cluster.worker(name).start() for name in "abc"]
    with under_load(cluster, untidy_stream(30_000, seed=18), rate=500) as load:
        for worker in workers:
            assert worker.terminate() == 0
            worker.start()
        assert not load.done(), "the load has to last"
    check_aftermath(cluster, *workers)


def test_a_worker_that_joins_while_another_recovers_changes_nothing(cluster: Cluster) -> None:
    send_stream(cluster, untidy_stream(20_000, seed=19))
    builder = cluster.worker("builder").start()
    cluster.wait_until_applied()
    builder.kill()
    first, second = cluster.worker("a"), cluster.worker("b")
    with under_load(cluster, untidy_stream(10_000, seed=20), rate=1000):
        first.launch()
        wait_until(lambda: "Joined group" in first.output(), "the first one has joined")
        second.launch()
    check_aftermath(cluster, first, second)
