"""A broker that dies, is unreachable or is slow: the stream waits for it, then continues."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from embedded import EmbeddedKafka
from tests.faults.aftermath import QUICK, check_aftermath
from tests.faults.proxy import WiredKafka
from tests.faults.test_crashes import SABOTAGE
from tests.integration.stream import send_stream, under_load, untidy_stream
from tests.worker import is_stopped, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster import Cluster


pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.fixture(scope="module")
def wired() -> Iterator[WiredKafka]:
    with WiredKafka() as wired:
        yield wired


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster], wired: WiredKafka) -> Iterator[Cluster]:
    """Tests reach the broker directly, the workers through the proxy."""
    wired.wire.mend()
    cluster = make_cluster(bootstrap=wired.kafka.bootstrap, **QUICK, BROKER_URL=wired.workers_url)
    cluster.create_topic(cluster.events)
    yield cluster
    wired.wire.mend()


def committed(cluster: Cluster) -> int:
    return sum(cluster.committed(cluster.events).values())


def wait_for_commits(cluster: Cluster, timeout: float = 60.0) -> None:
    """Wait until commits succeed again."""
    before = committed(cluster)
    wait_until(lambda: committed(cluster) > before, "commits go on", timeout)


@pytest.mark.parametrize("deaths", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_a_broker_killed_and_restarted_under_load_changes_nothing(
    make_cluster: Callable[..., Cluster], deaths: int
) -> None:
    with EmbeddedKafka() as kafka:
        cluster = make_cluster(bootstrap=kafka.bootstrap, **QUICK)
        cluster.create_topic(cluster.events)
        worker = cluster.worker().start()
        with under_load(cluster, untidy_stream(20_000 * deaths, seed=30), rate=2500):
            for _ in range(deaths):
                wait_for_commits(cluster)
                kafka.kill()
                kafka.restart()
                wait_for_commits(cluster)
        check_aftermath(cluster, worker)


@pytest.mark.slow
def test_a_broker_that_dies_while_workers_recover_changes_nothing(
    make_cluster: Callable[..., Cluster],
) -> None:
    """There is no data on disk: each start reads the changelogs and is interrupted."""
    with EmbeddedKafka() as kafka:
        cluster = make_cluster(bootstrap=kafka.bootstrap, **QUICK)
        cluster.create_topic(cluster.events)
        send_stream(cluster, untidy_stream(20_000, seed=31))
        first = cluster.worker("a").start()
        cluster.wait_until_applied()
        assert first.terminate() == 0
        rng = random.Random(31)
        for name in "bcd":
            worker = cluster.worker(name).launch()
            time.sleep(rng.uniform(2.0, 3.5))
            kafka.kill()
            kafka.restart()
            worker.wait_ready(90)
            worker.kill()
        check_aftermath(cluster, first.start())


@pytest.mark.parametrize("seconds", [5, pytest.param(90, marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", ["disconnect", "hold"])
@pytest.mark.timeout(500)
def test_a_broker_out_of_reach_is_waited_for(
    cluster: Cluster, wired: WiredKafka, way: str, seconds: int
) -> None:
    """Disconnected: every connection breaks. Held: no data arrives, and no error either."""
    worker = cluster.worker().start()
    with under_load(cluster, untidy_stream(12_000, seed=32), rate=1000):
        wait_for_commits(cluster)
        getattr(wired.wire, way)()
        time.sleep(seconds)
        assert worker.status("/healthz") == 200
        wired.wire.mend()
        wait_for_commits(cluster, 120)
    check_aftermath(cluster, worker, timeout=180)


@pytest.mark.slow
def test_two_workers_of_which_nobody_reaches_the_broker_agree_again(
    cluster: Cluster, wired: WiredKafka
) -> None:
    """Longer than the session timeout: the group is empty, and both workers rejoin it."""
    first, second = cluster.worker("a").start(), cluster.worker("b").start()
    with under_load(cluster, untidy_stream(15_000, seed=33), rate=1000):
        wait_for_commits(cluster)
        wired.wire.disconnect()
        time.sleep(15)
        wired.wire.mend()
        wait_for_commits(cluster, 120)
    check_aftermath(cluster, first, second, timeout=180)


def test_connections_cut_again_and_again_change_nothing(
    cluster: Cluster, wired: WiredKafka
) -> None:
    rng = random.Random(34)
    worker = cluster.worker().start()
    with under_load(cluster, untidy_stream(9000, seed=34), rate=1000) as load:
        while not load.done():
            time.sleep(rng.uniform(0.2, 1.5))
            wired.wire.cut()
    check_aftermath(cluster, worker)


@pytest.mark.slow
def test_a_slow_wire_slows_the_stream_and_no_more(cluster: Cluster, wired: WiredKafka) -> None:
    worker = cluster.worker().start()
    with under_load(cluster, untidy_stream(12_000, seed=35), rate=1000):
        for latency in (0.05, 0.3, 0.1):
            wired.wire.latency = latency
            wait_for_commits(cluster)
            time.sleep(3)
        wired.wire.latency = 0.0
    check_aftermath(cluster, worker)


@pytest.mark.parametrize("point", ["before offsets", "before commit"])
@pytest.mark.slow
def test_a_transaction_that_the_broker_aborted_is_done_again(
    make_cluster: Callable[..., Cluster], point: str
) -> None:
    """The worker sleeps longer than the transaction timeout, but not the session timeout."""
    cluster = make_cluster(**QUICK | {"BROKER_SESSION_TIMEOUT": 60})
    cluster.create_topic(cluster.events)
    worker = cluster.worker().start(SABOTAGE, FAULT=point, FAULT_HIT=5, FAULT_ACTION="stop")
    with under_load(cluster, untidy_stream(6000, seed=36), rate=2000):
        wait_until(lambda: is_stopped(worker.pid), "it sleeps")
        # Every 10 s the broker looks for transactions that are open for more than 15 s.
        time.sleep(27)
        os.kill(worker.pid, signal.SIGCONT)
    check_aftermath(cluster, worker, timeout=180)
    assert "Traceback" not in worker.output()
