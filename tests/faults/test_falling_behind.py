"""A worker that is far behind uses no more memory for it, and reports its lag."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

import settings as program_settings
from benchmarks.rig.loads import make_load, produce
from benchmarks.rig.processes import Usage
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster
    from tests.worker import Worker

pytestmark = [pytest.mark.faults, pytest.mark.slow]

BACKLOG = 2_000_000
USERS = 500_000
PEAK_MIB = 512
TIMEOUT = 240.0


def test_a_backlog_of_two_million_events_is_worked_off_within_the_memory_bound(
    make_cluster: Callable[..., Cluster],
) -> None:
    """Batches stay in Kafka until there is room: never all of the 680 MB are in memory."""
    cluster = make_cluster(TOPIC_PARTITIONS=8)
    start_ms = time.time_ns() // 1_000_000 - 600_000
    load = make_load("uniform", 1, USERS, start_ms)
    asyncio.run(produce(program_settings.load(cluster.environment), load, BACKLOG))
    worker = cluster.worker().start()

    wait_until(lambda: lag(worker) > BACKLOG / 4, "the lag is known and told", 30)
    wait_until(lambda: sum(cluster.committed(cluster.events).values()) == BACKLOG, "done", TIMEOUT)

    assert Usage.of(worker.pid).peak_rss < PEAK_MIB << 20
    wait_until(lambda: lag(worker) == 0, "no lag is left, and told", 30)


def lag(worker: Worker) -> float:
    """Return a worker's reported lag in records."""
    return sum(
        number
        for name, number in worker.metrics().items()
        if name.startswith("reels_consumer_lag_records")
    )
