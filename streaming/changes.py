"""Changes of changelogs, taken from aiokafka's fetcher a whole fetch at a time.

Leans on the insides of aiokafka 0.14 (``Fetcher._records``, ``FetchResult``);
``tests/streaming/test_insides.py`` fails when they move.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from aiokafka.consumer.fetcher import FetchResult
from faust.types import TP

from .fetched import unpack

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer
    from aiokafka.consumer.fetcher import Fetcher, PartitionRecords

Changes = dict[bytes, "bytes | None"]


class Chunk(NamedTuple):
    """What one fetch brought of a changelog: the last value of each key, None for a deletion."""

    changes: Changes
    records: int
    """Records read, of which several may have had the same key."""
    offset: int
    """Of the last of them."""


async def fetch_changes(consumer: AIOKafkaConsumer, seconds: float) -> dict[TP, Chunk]:
    """Return what was fetched of each partition, or nothing after ``seconds``.

    The consumer's positions move on, past records that hold no change, too.
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
        fetcher._notify(fetcher._wait_consume_future)
        if is_error:
            fetched.check_raise()
        elif fetched.check_assignment(tp) and fetched.has_more():
            chunk = _combine(fetched._partition_records)
            fetched._update_position()
            if chunk.records:
                chunks[TP(*tp)] = chunk
    return chunks


def _combine(fetched: PartitionRecords) -> Chunk:
    records = unpack(fetched)
    changes = {key: record.value for record in records if (key := record.key) is not None}
    return Chunk(changes, len(records), records[-1].offset if records else -1)
