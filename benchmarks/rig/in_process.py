"""A worker's processing of events in this process, without Kafka or waits."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from accelerator import WireBackend, layer_backend
from agents.engagement import EngagementProcessor
from streaming.kafka.batch_reader import RawMemoryRecords, unpacker
from tables.state import PartitionState
from tables.users import user_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from accelerator import UserBackend
    from settings import Settings
    from streaming.kafka.records import Record
    from streaming.tasks.outbox import Outbox
    from tables.rocks import RocksStore

T = TypeVar("T")

_CHUNK = 1_000
_BATCH_BYTES = 512 << 10


def fetched(keys: Sequence[bytes], values: Sequence[bytes]) -> PartitionRecords:
    """Return the fetched records of a partition with ``keys`` and ``values``."""
    records = RawMemoryRecords(b"".join(_packed(keys, values)))
    partition = TopicPartition("events", 0)
    return PartitionRecords(partition, records, [], 0, None, None, True, READ_COMMITTED)  # noqa: FBT003


def unpacked(partition: PartitionRecords, *, accelerated: bool) -> Sequence[Record]:
    """Return the records of a fetch, by the compiled or the plain form."""
    return unpacker(WireBackend.of(accelerated=accelerated).records)(partition)


def decode(records: Sequence[Record], backend: UserBackend, partitions: int = 1) -> None:
    """Decode, check and place the records of partition 0."""
    for first in range(0, len(records), _CHUNK):
        backend.chunk(records[first : first + _CHUNK], 0, partitions, 1 << 60)


def make_processor(
    store: RocksStore,
    executor: Executor,
    settings: Settings,
    backend: UserBackend,
    outbox: Outbox,
    *,
    accelerated: bool,
) -> EngagementProcessor:
    """Return the processor of partition 0; ``executor``, with one thread, does its reads."""
    layout, kind = user_layout(backend.plain_windows), layer_backend(accelerated=accelerated)
    state = PartitionState("users", layout, store, executor, kind)
    processor = EngagementProcessor(0, state, outbox, settings, backend, "changelog", 1)
    processor.reset_to_committed()
    return processor


def process(
    processor: EngagementProcessor, executor: Executor, records: Sequence[Record], topic: str
) -> float:
    """Process records in chunks like a task; return the microseconds, reads included."""

    async def all_of_them() -> None:
        for first in range(0, len(records), _CHUNK):
            await processor.process(records[first : first + _CHUNK], topic, {})

    before = executor.submit(time.thread_time).result()
    us, _ = timed(asyncio.run, all_of_them())
    return us + (executor.submit(time.thread_time).result() - before) * 1e6


def timed(work: Callable[..., T], *arguments: Any) -> tuple[float, T]:
    """Return the microseconds of processor time that ``work`` took here, and its result."""
    begun = time.thread_time()
    result = work(*arguments)
    return (time.thread_time() - begun) * 1e6, result


def _packed(keys: Sequence[bytes], values: Sequence[bytes]) -> list[bytes]:
    """Return the record batches of ``keys`` and ``values``, half a MiB each."""

    def begin() -> DefaultRecordBatchBuilder:
        return DefaultRecordBatchBuilder(2, 0, 1, 0, 0, 0, _BATCH_BYTES)

    def end() -> bytes:
        # A builder's offsets begin at 0; the broker sets the first one.
        return first.to_bytes(8, "big") + bytes(builder.build())[8:]

    batches, builder, first = [], begin(), 0
    for offset, (key, value) in enumerate(zip(keys, values, strict=True)):
        if builder.append(offset - first, 0, key, value, []) is None:
            batches.append(end())
            builder, first = begin(), offset
            builder.append(0, 0, key, value, [])
    return [*batches, end()]
