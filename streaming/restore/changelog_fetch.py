"""Changes of changelogs, taken from aiokafka's fetcher a whole fetch at a time.

Leans on the insides of aiokafka 0.14 (``Fetcher._records``, ``FetchResult``);
``tests/streaming/test_insides.py`` fails when they move.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from aiokafka.consumer.fetcher import FetchResult
from faust.types import TP

from streaming.kafka.batch_reader import put_back, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import AIOKafkaConsumer
    from aiokafka.consumer.fetcher import Fetcher, PartitionRecords

    from streaming.kafka.records import Record

Changes = dict["bytes | None", "bytes | None"]


class Chunk(NamedTuple):
    """What one fetch brought of a changelog: the last value of each key, None for a deletion.

    The key None is that of records without one, which nobody here writes.
    """

    changes: Changes
    read: Sequence[Record]
    """Records read, of which several may have had the same key."""

    @property
    def records(self) -> int:
        """How many were read."""
        return len(self.read)

    @property
    def offset(self) -> int:
        """Of the last of them."""
        return self.read[-1].offset

    def offsets(self) -> dict[bytes | None, int]:
        """Return where the last record of each key is."""
        return {record.key: record.offset for record in self.read}


async def fetch_changes(consumer: AIOKafkaConsumer, seconds: float) -> dict[TP, Chunk]:
    """Return what was fetched of each partition, or nothing after ``seconds``.

    The consumer's positions move on, past records that hold no change, too. What is large comes in
    several parts, each of them by another call.
    """
    fetcher = consumer._fetcher
    if not fetcher._records:
        waiter = fetcher._create_fetch_waiter()
        done, _ = await asyncio.wait([waiter], timeout=seconds)
        if not done:
            waiter.cancel()
            return {}
        waiter.result()
    return _take(fetcher)


def _take(fetcher: Fetcher) -> dict[TP, Chunk]:
    chunks: dict[TP, Chunk] = {}
    for tp, fetched in list(fetcher._records.items()):
        is_error = not isinstance(fetched, FetchResult)
        if is_error and chunks:
            # To be raised by the next call: what is taken already may not be lost.
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


def _combine(fetched: PartitionRecords) -> Chunk:
    records = unpack(fetched)
    return Chunk({record.key: record.value for record in records}, records)
