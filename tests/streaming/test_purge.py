"""Passed-on events are deleted an hour after they were counted, and never earlier."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from faust.types import TP

from streaming.commit.purge import ROUNDS_KEPT, Purge
from streaming.kafka.records import OutRecord
from tests.streaming.bench import producer_of

if TYPE_CHECKING:
    from tests.cluster import Cluster


RECORDS = 10


@pytest.fixture
async def place(cluster: Cluster) -> TP:
    """Return a partition with some records."""
    producer = producer_of(cluster, "purge")
    await producer.start()
    async with producer.transaction() as transaction:
        await transaction.send_records(cluster.events, 0, [OutRecord(b"k", b"v")] * RECORDS)
    await producer.stop()
    return TP(cluster.events, 0)


@pytest.fixture
def purge(cluster: Cluster) -> Purge:
    return Purge({"bootstrap_servers": [cluster.bootstrap], "security_protocol": "PLAINTEXT"})


def kept(cluster: Cluster) -> list[int]:
    return [record.offset for record in cluster.read(cluster.events)]


async def test_what_was_counted_is_deleted_some_looks_later_and_nothing_else(
    cluster: Cluster, place: TP, purge: Purge
) -> None:
    for at in range(ROUNDS_KEPT):
        await purge.look({place: 4 + at})
    assert kept(cluster) == list(range(RECORDS))
    await purge.look({place: RECORDS})
    assert kept(cluster) == list(range(4, RECORDS))
    await purge.look({place: RECORDS})
    assert kept(cluster) == list(range(5, RECORDS))


async def test_nothing_is_deleted_of_a_partition_that_is_here_no_more(
    cluster: Cluster, place: TP, purge: Purge
) -> None:
    for _ in range(ROUNDS_KEPT):
        await purge.look({place: 4})
    await purge.look({})
    assert kept(cluster) == list(range(RECORDS))


async def test_nothing_is_deleted_beyond_what_is_committed_now(
    cluster: Cluster, place: TP, purge: Purge
) -> None:
    for _ in range(ROUNDS_KEPT):
        await purge.look({place: 8})
    await purge.look({place: 3})
    assert kept(cluster) == list(range(RECORDS))


async def test_a_refusal_is_told_once_and_nothing_ends(
    cluster: Cluster, purge: Purge, caplog: pytest.LogCaptureFixture
) -> None:
    beyond = TP(cluster.events, 0)
    with caplog.at_level(logging.WARNING, "streaming.commit.purge"):
        for _ in range(ROUNDS_KEPT + 2):
            await purge.look({beyond: 10**9})
    (line,) = caplog.messages
    assert "right Delete" in line
