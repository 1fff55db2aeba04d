"""The load arrives complete, in its partitions and in order; a broker's error is one line."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from aiokafka.errors import (
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

import settings
from commands import sending
from commands.sending import EventSender, SendError
from loadgen import EventChunk, Workload
from streaming.errors import NoBrokerError

if TYPE_CHECKING:
    from collections.abc import Callable


PARTITIONS = 4
SMALL_BATCH = 16 << 10
START_MS = 1_763_000_000_000


class FakeProducer:
    """Acknowledges immediately, and keeps the records of each partition."""

    made: list[FakeProducer]

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.records: dict[int, list[Any]] = defaultdict(list)
        self.stopped = False
        type(self).made.append(self)

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True

    async def partitions_for(self, _topic: str) -> set[int]:
        return set(range(PARTITIONS))

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(SMALL_BATCH, 0)

    async def send_batch(
        self, batch: BatchBuilder, topic: str, *, partition: int
    ) -> asyncio.Future[object]:
        assert topic == "engagement-events"
        outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.settle(outcome, batch, partition)
        return outcome

    def settle(self, outcome: asyncio.Future[object], batch: BatchBuilder, partition: int) -> None:
        records = MemoryRecords(bytes(batch._build()))
        while (one := records.next_batch()) is not None:
            self.records[partition] += list(one)
        outcome.set_result(object())


class UnreachableProducer(FakeProducer):
    async def start(self) -> None:
        raise NoBrokerError("Connection refused")


class StrictProducer(FakeProducer):
    """Refuses batches above 1 MiB, as brokers do by default."""

    def settle(self, outcome: asyncio.Future[object], batch: BatchBuilder, partition: int) -> None:
        if batch.size() > 1 << 20:
            outcome.set_exception(MessageSizeTooLargeError())
        else:
            super().settle(outcome, batch, partition)


class FailingProducer(FakeProducer):
    def settle(self, outcome: asyncio.Future[object], batch: BatchBuilder, partition: int) -> None:
        outcome.set_exception(NotLeaderForPartitionError())


class SilentProducer(FakeProducer):
    """Never acknowledges."""

    def settle(self, outcome: asyncio.Future[object], batch: BatchBuilder, partition: int) -> None:
        pass


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[FakeProducer]], EventSender]:
    """Return a factory of senders with a producer of the given class."""

    def make(producer: type[FakeProducer]) -> EventSender:
        async def ensure_topics(*_args: object) -> None:
            pass

        producer.made = []
        monkeypatch.setattr(sending, "ensure_topics", ensure_topics)
        monkeypatch.setattr(sending, "AIOKafkaProducer", producer)
        return EventSender(settings.load({}))

    return make


def chunk_of(*values: bytes) -> EventChunk:
    users = np.arange(len(values))
    keys = [b"%d" % user for user in users.tolist()]
    return EventChunk(keys, list(values), users, np.zeros(len(values), np.uint8))


class TestArrival:
    async def test_every_record_arrives_once_in_its_partition_and_in_order(
        self, connect: Callable[[type[FakeProducer]], EventSender]
    ) -> None:
        workload = Workload(start_ms=START_MS, duplicates=0.1, invalid=0.1)
        chunks = [workload.chunk(700) for _ in range(5)]
        async with connect(FakeProducer) as sender:
            for chunk in chunks:
                await sender.send(chunk)
            await sender.flush()
        arrived = {
            partition: [(bytes(record.key), bytes(record.value or b"")) for record in records]
            for partition, records in FakeProducer.made[0].records.items()
        }
        wanted: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        for chunk in chunks:
            records = zip(chunk.keys, chunk.values, strict=True)
            for partition, record in zip(chunk.partitions(PARTITIONS), records, strict=True):
                wanted[int(partition)].append(record)
        assert arrived == wanted
        assert sender.sent_events == 3_500
        assert sender.sent_bytes > sum(len(value) for chunk in chunks for value in chunk.values)

    async def test_what_does_not_fill_a_batch_waits_for_more(
        self, connect: Callable[[type[FakeProducer]], EventSender]
    ) -> None:
        async with connect(FakeProducer) as sender:
            await sender.send(chunk_of(b"one", b"two"))
            assert not FakeProducer.made[0].records
            await sender.submit()
            assert sum(map(len, FakeProducer.made[0].records.values())) == 2

    async def test_records_have_the_time_at_which_they_are_sent(
        self, connect: Callable[[type[FakeProducer]], EventSender]
    ) -> None:
        before_ms = int(time.time() * 1000)
        async with connect(FakeProducer) as sender:
            await sender.send(chunk_of(b"one"))
            await sender.flush()
        (record,) = next(iter(FakeProducer.made[0].records.values()))
        assert before_ms <= record.timestamp <= int(time.time() * 1000)

    async def test_nothing_is_stored_twice_by_a_repeated_request(
        self, connect: Callable[[type[FakeProducer]], EventSender]
    ) -> None:
        async with connect(FakeProducer):
            assert FakeProducer.made[0].options["enable_idempotence"] is True

    async def test_the_connection_is_closed_in_the_end(
        self, connect: Callable[[type[FakeProducer]], EventSender]
    ) -> None:
        async with connect(FakeProducer):
            pass
        assert FakeProducer.made[0].stopped


class TestTrouble:
    async def test_no_broker_is_one_line_that_names_the_address_and_the_variable(
        self, connect: Callable[[type[FakeProducer]], EventSender]
    ) -> None:
        with pytest.raises(SendError) as caught:
            async with connect(UnreachableProducer):
                pass
        assert str(caught.value) == (
            "no broker answers at 127.0.0.1:9092 (Connection refused): check BROKER_URL"
        )

    async def test_records_refused_as_too_large_are_counted_and_the_others_arrive(
        self, connect: Callable[[type[FakeProducer]], EventSender]
    ) -> None:
        async with connect(StrictProducer) as sender:
            await sender.send(chunk_of(b"one", b"x" * (1 << 20), b"two", b"three"))
            await sender.flush()
        assert (sender.sent_events, sender.refused_events) == (3, 1)

    async def test_a_failed_delivery_ends_the_run_with_one_line(
        self, connect: Callable[[type[FakeProducer]], EventSender]
    ) -> None:
        async with connect(FailingProducer) as sender:
            await sender.send(chunk_of(b"one"))
            with pytest.raises(SendError, match="Kafka did not accept all events") as caught:
                await sender.flush()
        assert "\n" not in str(caught.value)
        assert sender.sent_events == 0

    async def test_a_silent_broker_does_not_hold_the_end_up(
        self, connect: Callable[[type[FakeProducer]], EventSender], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sending, "_FLUSH_TIMEOUT_S", 0.05)
        async with connect(SilentProducer) as sender:
            await sender.send(chunk_of(b"one"))
            with pytest.raises(SendError, match="does not acknowledge"):
                await sender.flush()
