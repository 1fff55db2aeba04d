"""Records of topics, taken from aiokafka's fetcher one whole fetch at a time.

Depends on the internals of aiokafka 0.14 (``Fetcher._records``, ``FetchResult``,
``Fetcher._fetch_max_wait_ms``);
``tests/streaming/test_insides.py`` fails when they change.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from aiokafka.consumer.fetcher import FetchResult
from faust.types import TP

from streaming.errors import RecordsLostError
from streaming.kafka.batch_reader import put_back, unpack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from aiokafka import AIOKafkaConsumer
    from aiokafka.consumer.fetcher import Fetcher, PartitionRecords
    from aiokafka.structs import TopicPartition

    from streaming.kafka.records import Record

Changes = dict["bytes | None", "bytes | None"]

#: Seconds that a fetch waits. Short, because a control record at the log's end wakes no fetch.
FETCH_WAIT_S = 0.05

#: Seconds without progress after which the brokers are asked whether there is anything to wait for.
STALL_S = 20.0


class ChangelogChunk(NamedTuple):
    """The records of one fetch, and its changes: the last value of each key, None: deleted.

    The key None stands for records without a key, which this program never writes.
    """

    changes: Changes
    read: Sequence[Record]
    """Records read; several may have the same key."""

    @property
    def records(self) -> int:
        """The number of records read."""
        return len(self.read)

    @property
    def offset(self) -> int:
        """The offset of the last record."""
        return self.read[-1].offset

    def before(self, end: int) -> ChangelogChunk:
        """Return the part of the chunk before the offset ``end``."""
        if self.offset < end:
            return self
        return _chunk_of([record for record in self.read if record.offset < end])

    def offsets(self) -> dict[bytes | None, int]:
        """Return the offset of each key's last record."""
        return {record.key: record.offset for record in self.read}


async def fetch_changes(consumer: AIOKafkaConsumer, seconds: float) -> dict[TP, ChangelogChunk]:
    """Return the fetched changes of each partition, or nothing after ``seconds``.

    The consumer's positions move past all records, including those without a change. A large fetch
    is returned in parts, one per call.
    """
    fetcher = consumer._fetcher
    # The broker waits as long.
    fetcher._fetch_max_wait_ms = round(1000 * seconds)
    if not fetcher._records:
        waiter = fetcher._create_fetch_waiter()
        done, _ = await asyncio.wait([waiter], timeout=seconds)
        if not done:
            waiter.cancel()
            return {}
        waiter.result()
    return _take(fetcher)


async def fetch_up_to(
    consumer: AIOKafkaConsumer, tp: TopicPartition, end: int
) -> AsyncIterator[ChangelogChunk]:
    """Yield the changes of ``tp`` from the consumer's position to ``end``, or some more.

    Raises:
        RecordsLostError: the partition ends before that now.
        KafkaError: the brokers are away, or the topic is gone.
    """
    at, moved_at = await consumer.position(tp), monotonic()
    while at < end:
        for chunk in (await fetch_changes(consumer, FETCH_WAIT_S)).values():
            yield chunk
        before, at = at, await consumer.position(tp)
        if at != before:
            moved_at = monotonic()
        elif monotonic() - moved_at >= STALL_S:
            # aiokafka fetches again and again, whatever the reason.
            if (found := (await consumer.end_offsets([tp]))[tp]) < end:
                raise RecordsLostError(tp.topic, tp.partition, end, found)
            moved_at = monotonic()


def _take(fetcher: Fetcher) -> dict[TP, ChangelogChunk]:
    chunks: dict[TP, ChangelogChunk] = {}
    for tp, fetched in list(fetcher._records.items()):
        is_error = not isinstance(fetched, FetchResult)
        if is_error and chunks:
            # The next call raises it, so that the changes taken already are not lost.
            continue
        del fetcher._records[tp]
        has_more = False
        if is_error:
            fetched.check_raise()
        elif fetched.check_assignment(tp) and fetched.has_more():
            chunk = _combine(fetched._partition_records)
            fetched._update_position()
            has_more = put_back(fetched, fetcher._records)
            if chunk.records:
                chunks[TP(*tp)] = chunk
        if not has_more:
            fetcher._notify(fetcher._wait_consume_future)
    return chunks


def _combine(fetched: PartitionRecords) -> ChangelogChunk:
    return _chunk_of(unpack(fetched))


def _chunk_of(records: Sequence[Record]) -> ChangelogChunk:
    return ChangelogChunk({record.key: record.value for record in records}, records)
