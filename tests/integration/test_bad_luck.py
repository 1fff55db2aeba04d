"""Faults of brokers, disks and topics while the program runs change no count."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from embedded import EmbeddedKafka
from tests.integration import checks
from tests.integration.stream import send_stream, untidy_stream
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster


def test_a_broker_that_dies_and_comes_back_changes_nothing(
    make_cluster: Callable[..., Cluster],
) -> None:
    with EmbeddedKafka() as kafka:
        cluster = make_cluster(bootstrap=kafka.bootstrap)
        cluster.create_topic(cluster.events)
        worker = cluster.worker().start()
        stream = untidy_stream(40_000, seed=10)
        send_stream(cluster, stream[:30_000])
        wait_until(lambda: any(cluster.committed(cluster.events).values()), "the first commit")
        kafka.kill()
        kafka.restart()
        send_stream(cluster, stream[30_000:])
        cluster.wait_until_applied(120)
        checks.check_all(cluster, worker)
        assert worker.terminate() == 0


def test_a_worker_that_slept_through_its_session_does_no_harm_when_it_wakes(
    make_cluster: Callable[..., Cluster],
) -> None:
    """It still believes that it owns its partitions, and has uncommitted events of them.

    ::

        a    |---- processes, commits ----|      asleep      |-- fenced, joins again --|
        b    |-----------------------------| takes over a's partitions ------------|
    """
    cluster = make_cluster(BROKER_SESSION_TIMEOUT=6)
    cluster.create_topic(cluster.events)
    first, second = cluster.worker("a").start(), cluster.worker("b").start()
    stream = untidy_stream(40_000, seed=15)
    send_stream(cluster, stream[:20_000])
    wait_until(lambda: any(cluster.committed(cluster.events).values()), "the first commit")
    os.kill(first.pid, signal.SIGSTOP)
    try:
        send_stream(cluster, stream[20_000:30_000])
        cluster.wait_until_applied()
    finally:
        os.kill(first.pid, signal.SIGCONT)
    send_stream(cluster, stream[30_000:])
    cluster.wait_until_applied()
    checks.check_all(cluster, first, second)
