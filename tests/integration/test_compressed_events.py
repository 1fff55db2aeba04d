"""Producers compress as they like."""

from __future__ import annotations

from tests.integration import checks
from tests.integration.stream import send_stream, untidy_stream

COMPRESSIONS = "gzip", "snappy", "lz4", "zstd"


def test_events_count_whatever_they_are_compressed_with(make_cluster):
    cluster = make_cluster()
    cluster.create_topic(cluster.events)
    stream = untidy_stream(20_000, seed=14)
    part = len(stream) // len(COMPRESSIONS)
    for number, compression in enumerate(COMPRESSIONS):
        some = stream[number * part : (number + 1) * part]
        send_stream(cluster, some, compression_type=compression)
    worker = cluster.worker().start()
    cluster.wait_until_applied(60)
    checks.check_all(cluster, worker)
