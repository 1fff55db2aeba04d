"""Committed changelogs, read from outside; no worker is involved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition

from streaming.errors import ForeignChangelogError
from streaming.restore.changelog import POLL_MS
from streaming.restore.changelog_fetch import fetch_changes
from tables.foreign import ForeignRowError, check_rows
from tables.layout import LAYOUT_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiokafka import AIOKafkaConsumer
    from faust.types import TP

    from streaming.restore.changelog_fetch import ChangelogChunk
    from tables.layout import StoreFormat

#: Offsets before the end that the first search for the layout record reads, and the factor for
#: each further search. Each commit writes a layout record.
LAYOUT_TAIL_OFFSETS, TAIL_GROWTH = 500, 8


async def read_changes(
    consumer: AIOKafkaConsumer, changelog: TP, layout: StoreFormat
) -> AsyncIterator[ChangelogChunk]:
    """Yield the changes of a changelog, oldest first, up to its last stable offset.

    Arguments:
        consumer: a consumer without a group that reads committed records.
        changelog: the partition to read; the consumer is assigned only this one.
        layout: the table's format, which recognizes rows that no worker wrote.

    Raises:
        ForeignChangelogError: the changelog has such a row.
    """
    tp = TopicPartition(*changelog)
    consumer.assign([tp])
    await consumer.seek_to_beginning(tp)
    # Compaction may remove a record before it is read, because of a newer one after the first end.
    # That one is before the end of the second round.
    for _ in range(2):
        end = (await consumer.end_offsets([tp]))[tp]
        while await consumer.position(tp) < end:
            for chunk in (await fetch_changes(consumer, POLL_MS / 1000)).values():
                _check(chunk, changelog, layout)
                yield chunk


def _check(chunk: ChangelogChunk, changelog: TP, layout: StoreFormat) -> None:
    if layout.find_foreign is None:
        return
    try:
        check_rows(chunk.changes, layout.find_foreign)
    except ForeignRowError as exc:
        offsets = chunk.offsets()
        key = min(exc.keys, key=offsets.__getitem__)
        raise ForeignChangelogError(
            changelog.topic, changelog.partition, offsets[key], key
        ) from exc


async def last_layout(consumer: AIOKafkaConsumer, changelog: TP) -> bytes | None:
    """Return the last committed layout record of a changelog, None without one."""
    tp = TopicPartition(*changelog)
    consumer.assign([tp])
    begin = (await consumer.beginning_offsets([tp]))[tp]
    end = until = (await consumer.end_offsets([tp]))[tp]
    tail = LAYOUT_TAIL_OFFSETS
    while until > begin:
        start = max(begin, end - tail)
        consumer.seek(tp, start)
        layout: bytes | None = None
        while await consumer.position(tp) < until:
            for chunk in (await fetch_changes(consumer, POLL_MS / 1000)).values():
                layout = chunk.changes.get(LAYOUT_KEY, layout)
        if layout is not None:
            return layout
        until, tail = start, tail * TAIL_GROWTH
    return None
