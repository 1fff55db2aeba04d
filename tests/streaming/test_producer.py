"""A transactional producer commits all its records together, or none."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from aiokafka.errors import InvalidProducerIdMapping
from aiokafka.structs import TopicPartition
from faust.types import TP

from monitoring import metrics
from streaming.errors import FencedError, TransactionFailedError
from streaming.kafka.records import OutRecord
from tests.streaming.bench import producer_of
from tests.streaming.test_batch_writer import FORMS
from tests.worker import wait_until_equal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from streaming.kafka.producer import TransactionalProducer
    from tests.cluster import Cluster


@pytest.fixture(params=FORMS.values(), ids=list(FORMS))
async def make_producer(
    cluster: Cluster, request: pytest.FixtureRequest
) -> AsyncIterator[Callable[[], Awaitable[TransactionalProducer]]]:
    """Return a factory of producers that share one transactional id."""
    started: list[TransactionalProducer] = []
    name = uuid4().hex

    async def make() -> TransactionalProducer:
        producer = producer_of(cluster, f"{name}-0", request.param)
        started.append(producer)
        await producer.start()
        return producer

    yield make
    for producer in started:
        await producer.stop()
    # Futures that aiokafka leaves in a fenced producer are reported now, not in a later test.
    started.clear()
    gc.collect()


def record(value: bytes) -> OutRecord:
    return OutRecord(b"key", value, (("name", b"header"),), 1_736_951_445_123)


def values(cluster: Cluster) -> list[bytes | None]:
    return [each.value for each in cluster.read(cluster.events)]


async def values_become(cluster: Cluster, expected: Sequence[bytes | None]) -> None:
    """Wait for the values: a transaction ends before its markers are written."""
    await asyncio.to_thread(wait_until_equal, lambda: values(cluster), expected)


async def test_sent_bytes_are_counted_by_topic(
    cluster: Cluster, make_producer: Callable[[], Awaitable[TransactionalProducer]]
) -> None:
    def counted() -> float:
        labels = {"topic": cluster.events}
        return metrics.registry.get_sample_value("reels_sent_bytes_total", labels) or 0.0

    producer = await make_producer()
    async with producer.transaction() as transaction:
        await transaction.send_values(cluster.events, 0, {b"1": bytes(1000)})
        by_values = counted()
        await transaction.send_records(cluster.events, 1, [record(bytes(2000))])
    assert 1000 < by_values < 1200
    assert 2000 < counted() - by_values < 2200


async def test_records_values_and_offsets_are_committed_together(
    cluster: Cluster, make_producer: Callable[[], Awaitable[TransactionalProducer]]
) -> None:
    producer = await make_producer()
    async with producer.transaction() as transaction:
        last = await transaction.send_values(cluster.events, 0, {b"1": b"one", b"2": None})
        await transaction.send_records(cluster.events, 1, [record(b"whole")])
        await transaction.delivered()
        assert await asyncio.to_thread(values, cluster) == [], "nothing is seen before the end"
        transaction.send_offsets({TP(cluster.events, 0): 17})
    assert await last == 1
    await values_become(cluster, [b"one", None, b"whole"])
    (whole,) = [r for r in cluster.read(cluster.events) if r.partition == 1]
    assert whole[2:] == (b"key", b"whole", 1_736_951_445_123, (("name", b"header"),))
    assert cluster.committed(cluster.events) == {0: 17, 1: 0}


async def test_more_than_a_batch_of_values_keep_their_order_and_last_offset(
    cluster: Cluster, make_producer: Callable[[], Awaitable[TransactionalProducer]]
) -> None:
    producer = await make_producer()
    many: dict[bytes, bytes | None] = {b"%d" % n: b"x" * 10_000 for n in range(300)}
    async with producer.transaction() as transaction:
        last = await transaction.send_values(cluster.events, 0, many)
    await values_become(cluster, list(many.values()))
    found = await asyncio.to_thread(cluster.read, cluster.events)
    assert [each.key for each in found] == list(many)
    assert await last == found[-1].offset == 299


async def test_a_block_that_fails_leaves_nothing_behind(
    cluster: Cluster, make_producer: Callable[[], Awaitable[TransactionalProducer]]
) -> None:
    producer = await make_producer()

    async def fail() -> None:
        async with producer.transaction() as transaction:
            await transaction.send_records(cluster.events, 0, [record(b"void")])
            await transaction.delivered()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    successor = await make_producer()
    async with successor.transaction() as transaction:
        await transaction.send_records(cluster.events, 0, [record(b"valid")])
    await values_become(cluster, [b"valid"])


@pytest.mark.parametrize("moment", ["before", "in the middle", "at the end"])
async def test_a_producer_whose_place_was_taken_is_told_so(
    cluster: Cluster, make_producer: Callable[[], Awaitable[TransactionalProducer]], moment: str
) -> None:
    producer = await make_producer()
    async with producer.transaction() as transaction:
        await transaction.send_records(cluster.events, 0, [record(b"before")])
    if moment == "before":
        await make_producer()

    async def go_on() -> None:
        async with producer.transaction() as transaction:
            await transaction.send_records(cluster.events, 0, [record(b"void")])
            if moment != "before":
                await transaction.delivered()
                await make_producer()
            if moment == "in the middle":
                await transaction.send_records(cluster.events, 1, [record(b"void")])
                # Once aiokafka knows, it refuses every further record without a reason.
                await asyncio.wait(transaction._pending)
                await transaction.send_records(cluster.events, 1, [record(b"void")])

    with pytest.raises(FencedError):
        await go_on()
    await values_become(cluster, [b"before"])


async def test_a_topic_that_is_not_there_is_a_failed_transaction(
    cluster: Cluster, make_producer: Callable[[], Awaitable[TransactionalProducer]]
) -> None:
    producer = await make_producer()
    producer._timeout = 1.0

    async def send() -> None:
        async with producer.transaction() as transaction:
            await transaction.send_records(f"{cluster.events}-none", 0, [record(b"void")])

    with pytest.raises(TransactionFailedError):
        await send()


async def test_the_offsets_of_a_fenced_producer_do_not_count(
    cluster: Cluster, make_producer: Callable[[], Awaitable[TransactionalProducer]]
) -> None:
    producer = await make_producer()
    await make_producer()

    async def commit() -> None:
        async with producer.transaction() as transaction:
            transaction.send_offsets({TP(cluster.events, 0): 17})
            await transaction.delivered()

    with pytest.raises(FencedError):
        await commit()
    assert cluster.committed(cluster.events) == {0: 0, 1: 0}


async def test_an_id_that_the_brokers_have_forgotten_is_named_as_the_reason(
    make_producer: Callable[[], Awaitable[TransactionalProducer]],
) -> None:
    """aiokafka only raises that its sender has ended; the reason stays with the sender."""
    producer = await make_producer()

    async def forgotten(_: object) -> None:
        raise InvalidProducerIdMapping

    async def commit() -> None:
        async with producer.transaction() as transaction:
            transaction.send_offsets({TP("any", 0): 1})

    assert producer._producer is not None
    producer._producer._sender._do_add_offsets_to_txn = forgotten
    with pytest.raises(TransactionFailedError, match=r"the brokers removed this id"):
        await commit()


async def test_sequence_numbers_begin_again_after_two_billion_records(
    cluster: Cluster, make_producer: Callable[[], Awaitable[TransactionalProducer]]
) -> None:
    producer = await make_producer()
    assert producer._producer is not None
    numbers = producer._producer._txn_manager._sequence_numbers
    # A broker accepts any first number of a producer that it does not know yet.
    numbers[TopicPartition(cluster.events, 0)] = 2**31 - 3
    for first in (0, 2, 4):
        sent = [b"%d" % number for number in range(first, first + 2)]
        async with producer.transaction() as transaction:
            await transaction.send_records(cluster.events, 0, [record(value) for value in sent])
    assert numbers[TopicPartition(cluster.events, 0)] == 3
    await values_become(cluster, [b"%d" % number for number in range(6)])
