"""Producers may use any compression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.rig.processes import Usage
from models.partitioner import partition_of
from tests.integration import checks
from tests.integration.large_batches import MIB, padded_events, send_batch
from tests.integration.stream import START, event, send_stream, untidy_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster


COMPRESSIONS = "gzip", "snappy", "lz4", "zstd"

#: Peak memory of a worker in MiB with 256 MiB unpacked; an idle worker uses 110 MiB.
PEAK_MIB = 320


def test_events_count_whatever_they_are_compressed_with(
    make_cluster: Callable[..., Cluster],
) -> None:
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


@pytest.mark.parametrize("accelerator", ["on", pytest.param("off", marks=pytest.mark.slow)])
def test_small_batches_that_hold_hundreds_of_mib_take_no_more_memory_than_others(
    make_cluster: Callable[..., Cluster], accelerator: str
) -> None:
    cluster = make_cluster(REELS_ACCELERATOR=accelerator)
    cluster.create_topic(cluster.events)
    users: dict[int, list[int]] = {number: [] for number in range(cluster.partitions)}
    for user in range(40):
        users[partition_of(user, cluster.partitions)].append(user)
    for partition, compression in enumerate(COMPRESSIONS):
        here = users[partition]
        records = padded_events(here, each=1000 // len(here), padding=MIB // 16)
        send_batch(cluster, partition, records, compression)
    worker = cluster.worker().start()
    cluster.wait_until_applied()
    assert Usage.of(worker.pid).peak_rss < PEAK_MIB * MIB
    checks.check_all(cluster, worker)


def test_a_value_far_too_large_is_dead_lettered_with_its_place_and_size(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = make_cluster(TOPIC_PARTITIONS=1)
    cluster.create_topic(cluster.events)
    size = 64 * MIB
    large = event(1, 1, START, "large") + b" " * size
    records = [(b"1", event(1, 1, START, "a")), (b"1", large), (b"1", event(1, 1, START, "b"))]
    send_batch(cluster, 0, records, "zstd")
    worker = cluster.worker().start()
    cluster.wait_until_applied()
    (letter,) = cluster.read(cluster.dead_letters)
    headers = dict(letter.headers)
    assert headers["reason"] == b"too_large"
    assert headers["source.offset"] == b"1"
    assert headers["original.size"] == b"%d" % len(large)
    assert letter.value is not None
    assert large.startswith(letter.value)
    assert worker.get("/users/1")["total_videos_watched"] == 2
    assert Usage.of(worker.pid).peak_rss < PEAK_MIB * MIB
