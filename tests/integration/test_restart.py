"""A worker that stops or dies, and returns, continues as if it had never been away."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests.integration import checks
from tests.integration.stream import START, event, send_stream, untidy_stream
from tests.oracle import HOUR, MINUTE, Rules
from tests.oracle_events import partition_of
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster
    from tests.worker import Worker


PARTITIONS = 4
FIRST, SECOND = [u for u in range(1, 99) if partition_of(u, PARTITIONS) == 0][:2]


def send_events(cluster: Cluster, *values: bytes) -> None:
    with cluster.producer() as producer:
        for value in values:
            producer.produce(cluster.events, value, b"0", 0)


def stop(worker: Worker, how: str) -> None:
    if how == "SIGTERM":
        assert worker.terminate() == 0
    else:
        worker.kill()


@pytest.mark.parametrize(("how", "disk"), [("SIGTERM", "empty disk"), ("SIGKILL", "same disk")])
def test_late_and_duplicate_are_decided_as_if_there_had_been_no_restart(
    make_cluster: Callable[..., Cluster], how: str, disk: str
) -> None:
    """The outcome of an event depends on events before the restart.

    ::

        START                       +24h                 +24h30m         +25h15m
        |-- oldest step, then late --|-- once, restart ---|-- duplicate ---|-- counts again --|
    """
    cluster = make_cluster(BROKER_SESSION_TIMEOUT=6)
    cluster.create_topic(cluster.events)
    worker = cluster.worker().start()
    once = event(FIRST, 1, START + 24 * HOUR, "once")
    send_events(cluster, event(SECOND, 1, START, "in-time"), once)
    cluster.wait_until_applied()
    stop(worker, how)
    if disk == "empty disk":
        shutil.rmtree(worker.data_dir)

    worker.launch()
    send_events(cluster, event(SECOND, 1, START, "late"), once)
    send_events(cluster, event(SECOND, 1, START + 24 * HOUR + 30 * MINUTE, "on"), once)
    send_events(cluster, event(SECOND, 1, START + 25 * HOUR + 15 * MINUTE, "further"), once)
    worker.wait_ready()
    cluster.wait_until_applied()

    oracle = checks.ask_oracle(cluster, Rules(PARTITIONS))
    assert oracle.outcomes == {"applied": 5, "late": 1, "duplicate": 2}
    checks.check_dead_letters(cluster, oracle)
    checks.check_users_over_http(worker, oracle, [FIRST, SECOND])


def test_sigterm_commits_what_is_processed_so_that_nothing_is_done_twice(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = make_cluster(BROKER_COMMIT_INTERVAL=10)
    cluster.create_topic(cluster.events)
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(3000, seed=3))
    sent = len(cluster.read(cluster.events))
    wait_until(lambda: records_read(worker) == sent, "all is processed")
    assert sum(cluster.committed(cluster.events).values()) == 0, "and nothing committed yet"
    assert worker.terminate() == 0

    assert not cluster.is_unread(cluster.events)
    assert len(cluster.read(cluster.events)) == sent
    passed_on = len(cluster.read(cluster.repartition))
    assert passed_on, "only what was passed on at the end is left to read"
    again = cluster.worker(BROKER_COMMIT_INTERVAL="0.1").start()
    cluster.wait_until_applied()
    wait_until(lambda: records_read(again) == passed_on, "only that is read")
    checks.check_changelogs(cluster, checks.ask_oracle(cluster, Rules(PARTITIONS)))


def test_a_worker_under_load_ends_within_ten_seconds_of_sigterm(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = make_cluster()
    cluster.create_topic(cluster.events)
    send_stream(cluster, untidy_stream(60_000, seed=4))
    worker = cluster.worker().start()
    wait_until(lambda: any(cluster.committed(cluster.events).values()), "the first commit")
    assert worker.terminate(timeout=10) == 0


@pytest.mark.parametrize("order", ["at once", "one after the other"])
def test_workers_that_end_together_end_in_order(
    make_cluster: Callable[..., Cluster], order: str
) -> None:
    """The end of the first makes the others rebalance, which must not crash them."""
    cluster = make_cluster()
    cluster.create_topic(cluster.events)
    workers = [cluster.worker(name).start() for name in "ab"]
    for worker in workers:
        worker.wait_ready()
    for worker in workers:
        os.kill(worker.pid, signal.SIGTERM)
        if order == "one after the other":
            worker.wait_exit(10)
    assert [worker.wait_exit(10) for worker in workers] == [0, 0]
    assert not [worker.name for worker in workers if "Traceback" in worker.output()]


def test_a_worker_that_gives_partitions_up_has_committed_them(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = make_cluster(BROKER_COMMIT_INTERVAL=5)
    cluster.create_topic(cluster.events)
    first, second = cluster.worker("a").start(), cluster.worker("b")
    send_stream(cluster, untidy_stream(3000, seed=6))
    sent = len(cluster.read(cluster.events))
    wait_until(lambda: records_read(first) >= sent, "all is processed")
    second.start()
    cluster.wait_until_applied()
    for worker in (first, second):
        worker.wait_ready()
    oracle = checks.ask_oracle(cluster, Rules(PARTITIONS))
    assert records_read(first) + records_read(second) == oracle.outcomes.total()
    checks.check_changelogs(cluster, oracle)
    checks.check_users_over_http(first, oracle, sorted(oracle.of_user))


def records_read(worker: Worker) -> float:
    lines = worker.metrics().items()
    return sum(count for name, count in lines if name.startswith("reels_events_read_total{"))
