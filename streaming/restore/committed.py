"""Committed changelogs, read from outside; no worker is involved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition

from streaming.restore.changelog_fetch import fetch_up_to
from streaming.restore.foreign import check_chunk
from tables.layout import LAYOUT_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiokafka import AIOKafkaConsumer
    from faust.types import TP

    from streaming.restore.changelog_fetch import ChangelogChunk
    from tables.layout import StoreFormat

#: Offsets before the end that the first search for the layout record reads, and the factor for
#: each further search. Each commit writes a layout record.
LAYOUT_TAIL_OFFSETS, TAIL_GROWTH = 500, 8


async def read_changes(
    consumer: AIOKafkaConsumer,
    changelog: TP,
    layout: StoreFormat,
    stable_end: Callable[[], Awaitable[int]] | None = None,
) -> AsyncIterator[ChangelogChunk]:
    """Yield the changes of a changelog, oldest first; of each transaction all or none.

    Arguments:
        consumer: a consumer without a group that reads committed records.
        changelog: the partition to read; the consumer is assigned only this one.
        layout: the table's format, which recognizes rows that no worker wrote.
        stable_end: returns the offset to read to, where no transaction is open;
            default: the partition's last stable offset.

    Raises:
        ForeignChangelogError: the changelog has such a row.
        RecordsLostError: it has become shorter meanwhile.
    """
    tp = TopicPartition(*changelog)

    async def last_stable_offset() -> int:
        return int((await consumer.end_offsets([tp]))[tp])

    consumer.assign([tp])
    start = (await consumer.beginning_offsets([tp]))[tp]
    # Compaction may remove a record before it is read, because of a newer one after the first end.
    # That one is before the end of the second round.
    for _ in range(2):
        end = await (stable_end or last_stable_offset)()
        consumer.seek(tp, start)
        async for fetched in fetch_up_to(consumer, tp, end):
            # A fetch may end inside a transaction that came after the end was asked for.
            chunk = fetched.before(end)
            if chunk.records:
                check_chunk(changelog, chunk, layout)
                yield chunk
        start = end


async def last_layout(consumer: AIOKafkaConsumer, changelog: TP) -> bytes | None:
    """Return the last committed layout record of a changelog, None without one.

    Raises:
        RecordsLostError: the changelog has become shorter meanwhile.
    """
    tp = TopicPartition(*changelog)
    consumer.assign([tp])
    begin = (await consumer.beginning_offsets([tp]))[tp]
    end = until = (await consumer.end_offsets([tp]))[tp]
    tail = LAYOUT_TAIL_OFFSETS
    while until > begin:
        start = max(begin, end - tail)
        consumer.seek(tp, start)
        layout: bytes | None = None
        async for chunk in fetch_up_to(consumer, tp, until):
            layout = chunk.changes.get(LAYOUT_KEY, layout)
        if layout is not None:
            return layout
        until, tail = start, tail * TAIL_GROWTH
    return None
