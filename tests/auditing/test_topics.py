"""An audit reads ends and offsets only after the open transactions before them have ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from faust.types import TP

from auditing import AuditError, reading
from auditing.reading import open_topics
from streaming.kafka.records import OutRecord
from streaming.restore import changelog_fetch
from tests.streaming.bench import producer_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from auditing.reading import Topics
    from streaming.kafka.producer import TransactionalProducer
    from tests.cluster import Cluster


RECORD = OutRecord(b"key", b"value")

#: Seconds after which a question counts as waiting; others take milliseconds.
A_WHILE = 0.5


@pytest.fixture
async def producer(cluster: Cluster) -> AsyncIterator[TransactionalProducer]:
    producer = producer_of(cluster, uuid4().hex)
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
async def topics(cluster: Cluster) -> AsyncIterator[Topics]:
    settings = {"bootstrap_servers": [cluster.bootstrap], "security_protocol": "PLAINTEXT"}
    async with open_topics(settings, cluster.app_id) as topics:
        yield topics


async def still_waits(question: asyncio.Task[dict[int, int]]) -> bool:
    """Whether ``question`` is still unanswered after a while; it continues."""
    await asyncio.wait([question], timeout=A_WHILE)
    return not question.done()


async def test_an_end_is_told_when_the_transactions_before_it_have_ended(
    cluster: Cluster, producer: TransactionalProducer, topics: Topics
) -> None:
    assert await topics.ends(cluster.events) == {0: 0, 1: 0}
    async with producer.transaction() as transaction:
        await transaction.send_records(cluster.events, 1, [RECORD, RECORD])
        await transaction.delivered()
        question = asyncio.create_task(topics.ends(cluster.events))
        assert await still_waits(question)
    ends = await question
    assert (ends[0], ends[1] >= 2) == (0, True)
    read = [
        record.offset
        async for records in topics.read(cluster.events, 1, 0, ends[1])
        for record in records
    ]
    assert read == [0, 1]


async def test_offsets_are_told_when_the_transactions_that_change_them_have_ended(
    cluster: Cluster, producer: TransactionalProducer, topics: Topics
) -> None:
    async with producer.transaction() as transaction:
        await transaction.send_records(cluster.events, 1, [RECORD] * 18)
        await transaction.delivered()
    for offset in (17, 18):
        async with producer.transaction() as transaction:
            transaction.send_offsets({TP(cluster.events, 1): offset})
            await transaction.delivered()
            question = asyncio.create_task(topics.committed(cluster.events))
            assert await still_waits(question)
        assert await question == {0: 0, 1: offset}


async def test_an_offset_beyond_the_end_is_named_with_what_to_do(
    cluster: Cluster, producer: TransactionalProducer, topics: Topics
) -> None:
    """As after an operator's mistake: nothing is waited for that never comes."""
    async with producer.transaction() as transaction:
        transaction.send_offsets({TP(cluster.events, 1): 1})
        await transaction.delivered()
    with pytest.raises(AuditError, match=rf"{cluster.events}-1 is 1, .* ends at 0\. Start a wor"):
        await topics.committed(cluster.events)


async def test_a_topic_that_is_made_anew_while_it_is_read_is_named(
    cluster: Cluster, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records of the former one never come."""
    monkeypatch.setattr(changelog_fetch, "STALL_S", 0.3)
    with pytest.raises(AuditError, match=rf"{cluster.events}-0 ends at offset 0, but had .* 5"):
        _ = [records async for records in topics.read(cluster.events, 0, 0, 5)]


async def test_a_transaction_that_nobody_ends_is_named(
    cluster: Cluster,
    producer: TransactionalProducer,
    topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "TRANSACTION_TIMEOUT_S", 0.3)
    async with producer.transaction() as transaction:
        await transaction.send_records(cluster.events, 0, [RECORD])
        await transaction.delivered()
        with pytest.raises(AuditError, match=f"transaction.*{cluster.events}"):
            await topics.ends(cluster.events)
        transaction.send_offsets({TP(cluster.events, 0): 1})
        await transaction.delivered()
        with pytest.raises(AuditError, match=f"transaction.*{cluster.app_id}"):
            await topics.committed(cluster.events)
