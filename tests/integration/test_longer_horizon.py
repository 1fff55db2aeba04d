"""A longer dedup horizon: event ids that were swept under the shorter one are forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster


LOAD = ("--users", "50", "--videos", "100", "--rate", "500")


def test_a_longer_horizon_goes_on_where_ids_were_swept(
    make_cluster: Callable[..., Cluster],
) -> None:
    """Many ids of a user are in separate rows, which a sweep deletes after the horizon."""
    cluster = make_cluster(TOPIC_PARTITIONS=2)
    cluster.create_topic(cluster.events)
    worker = cluster.worker().start()
    # Three hours of event time.
    start = "2026-11-20T02:00:00Z"
    send(cluster, "--count", "3000", "--seed", "5", "--start", start, "--speed", "2000")
    assert worker.terminate() == 0

    cluster.environment["REELS_DEDUP_HORIZON"] = "2h"
    worker = cluster.worker().start()
    assert "REELS_DEDUP_HORIZON changes to 2h from 1h" in worker.output()
    start = "2026-11-20T05:20:30Z"
    send(cluster, "--count", "500", "--seed", "6", "--start", start, "--speed", "2")
    audit = cluster.command("audit")
    assert audit.returncode == 0, audit.stdout
    assert worker.terminate() == 0


def send(cluster: Cluster, *words: str) -> None:
    """Send events, and wait until they are counted."""
    sent = cluster.command("generate", *LOAD, *words)
    assert sent.returncode == 0, sent.stderr
    cluster.wait_until_applied()
