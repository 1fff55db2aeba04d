"""A committed changelog is read to an end: each change once, and of a transaction all or none."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from faust.types import TP

from models.windows import Slices
from streaming.kafka.records import OutRecord
from streaming.restore.changelog import changelog_consumer
from streaming.restore.committed import read_changes
from tables.layout import StoreFormat
from tests.streaming.bench import producer_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streaming.kafka.producer import TransactionalProducer
    from tests.cluster import Cluster


HOUR = 3600


@pytest.fixture
async def producer(cluster: Cluster) -> AsyncIterator[TransactionalProducer]:
    producer = producer_of(cluster, uuid4().hex)
    await producer.start()
    yield producer
    await producer.stop()


async def write(producer: TransactionalProducer, changelog: TP, *keys: bytes) -> None:
    """Write a transaction with a row of each key."""
    async with producer.transaction() as transaction:
        records = [OutRecord(key, b"value") for key in keys]
        await transaction.send_records(changelog.topic, changelog.partition, records)
        await transaction.delivered()


async def test_what_came_after_the_first_end_is_read_once_up_to_the_second(
    cluster: Cluster, producer: TransactionalProducer
) -> None:
    """A worker writes on meanwhile: one fetch has the rest of a transaction and the next ones."""
    changelog = TP(cluster.events, 0)
    await write(producer, changelog, b"1", b"2")
    await write(producer, changelog, b"3", b"4", b"1")
    await write(producer, changelog, b"5")
    # Each transaction has a control record.
    ends, read, before_second_end = [3, 7], list[bytes | None](), list[bytes | None]()

    async def stable_end() -> int:
        before_second_end[:] = read
        return ends.pop(0)

    settings = {"bootstrap_servers": [cluster.bootstrap], "security_protocol": "PLAINTEXT"}
    layout = StoreFormat.of(1, Slices(24 * HOUR, HOUR))
    async with changelog_consumer(settings) as consumer:
        async for chunk in read_changes(consumer, changelog, layout, stable_end):
            read += [record.key for record in chunk.read]
    assert before_second_end == [b"1", b"2"]
    assert read == [b"1", b"2", b"3", b"4", b"1"]
