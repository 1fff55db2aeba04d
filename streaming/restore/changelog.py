"""Reading changelog topics, to restore a partition or to follow one that others write.

:mod:`streaming.restore.restore` restores, :mod:`streaming.restore.standby` follows.

Both use a consumer of their own, like the restore consumer of Kafka Streams, and compare its
position with the end. The control record at the end of a changelog never arrives as a message, but
the position moves past it, so a restore ends as soon as it is complete.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from faust.types import TP

from streaming.errors import ChangelogError
from streaming.kafka.topic_ids import topic_ids
from streaming.restore.changelog_fetch import fetch_changes
from streaming.restore.foreign import FOREIGN, refused
from streaming.restore.positions import LOOK_DELAY_S, MAX_LOOKS
from tables.foreign import ForeignRowError
from tables.layout import ForeignCopyError, LastCopyError
from tables.rocks import StoreCorruptError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from streaming.kafka.records import Record
    from streaming.restore.changelog_fetch import ChangelogChunk, Changes

log = logging.getLogger(__name__)

#: Bytes per fetch and partition.
FETCH_BYTES = 2 << 20

#: Milliseconds that a poll waits. Short, because a control record at the log's end wakes no poll.
POLL_MS = 50


class ChangelogSink(Protocol):
    """Receives the changes of a changelog."""

    @property
    def offset(self) -> int | None:
        """Offset of the last applied record, None without one."""

    async def attach(self, topic_id: str, end: int) -> None:
        """Use the changelog with this topic id (empty: unknown) and end offset.

        Raises:
            LastCopyError: the sink is a copy of another changelog, and may be the last one.
        """

    async def apply(self, changes: Changes, offset: int) -> Sequence[tuple[bytes | None, str]]:
        """Apply ``changes``; the last has ``offset``.

        Returns:
            Keys that were skipped because this program did not write them, with reasons.

        Raises:
            ForeignCopyError: the sink is a copy of another changelog.
            ForeignRowError: this program did not write all rows; none was applied.
            StoreCorruptError: the sink is damaged.
        """

    async def reset(self) -> None:
        """Delete everything, because it belongs to another changelog."""

    @property
    def is_whole(self) -> bool:
        """Whether the sink has had all rows of its changelog once, and so is only behind."""

    async def caught_up(self) -> None:
        """Take note that all rows up to an end of the changelog are applied."""


@runtime_checkable
class RecordSink(ChangelogSink, Protocol):
    """Receives whole records, with headers."""

    async def apply_records(self, records: Sequence[Record]) -> Sequence[tuple[bytes | None, str]]:
        """Apply ``records`` like :meth:`ChangelogSink.apply`."""


@asynccontextmanager
async def changelog_consumer(settings: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    """Connect a consumer without a group that reads committed records."""
    consumer = AIOKafkaConsumer(
        **settings,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=POLL_MS,
        check_crcs=False,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def seek_to_sinks(
    consumer: AIOKafkaConsumer, sinks: Mapping[TP, ChangelogSink]
) -> dict[TP, int]:
    """Assign the changelogs of ``sinks``, and seek the position of each sink.

    Returns:
        The current end offset of each changelog.

    Raises:
        ChangelogError: a sink is a copy of another changelog.
    """
    tps = [TopicPartition(*tp) for tp in sinks]
    consumer.assign(tps)
    begins, ends = await _attach(consumer, sinks)
    for tp, sink in zip(tps, sinks.values(), strict=True):
        start = begins[tp]
        if sink.offset is not None:
            if begins[tp] <= sink.offset + 1 <= ends[tp]:
                start = sink.offset + 1
            else:
                log.warning(
                    "%s-%s: the copy on disk is at offset %s, but the changelog spans %s to %s: "
                    "rebuilding it",
                    *(tp.topic, tp.partition, sink.offset, begins[tp], ends[tp]),
                )
                await sink.reset()
        consumer.seek(tp, start)
    return {TP(*tp): end for tp, end in ends.items()}


async def _attach(
    consumer: AIOKafkaConsumer, sinks: Mapping[TP, ChangelogSink]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Attach ``sinks`` to their changelogs, and return the changelogs' first and end offsets."""
    tps = [TopicPartition(*tp) for tp in sinks]
    attempt = 1
    while True:
        ids = await topic_ids(consumer._client, {tp.topic for tp in tps})
        begins = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        refusals: dict[str, list[str]] = defaultdict(list)
        for tp, sink in zip(tps, sinks.values(), strict=True):
            try:
                await sink.attach(ids.get(tp.topic, ""), ends[tp])
            except LastCopyError as exc:
                refusals[tp.topic].append(f"partition {tp.partition} {exc}")
        if not refusals:
            return begins, ends
        # A new leader may need a moment to learn its committed end.
        if attempt == MAX_LOOKS:
            raise ChangelogError(_refusal(refusals))
        attempt += 1
        await asyncio.sleep(LOOK_DELAY_S)


def _refusal(refusals: Mapping[str, list[str]]) -> str:
    topics = "; ".join(f"{topic}: {', '.join(each)}" for topic, each in sorted(refusals.items()))
    return (
        f"a changelog was recreated, or has lost records; the disk may have the last copy of the "
        f"table: {topics}. Rewrite the changelog with `faust -A app restore-changelog`, or delete "
        "the data directory to use the changelog as it is"
    )


async def poll(
    consumer: AIOKafkaConsumer, sinks: Mapping[TP, ChangelogSink], wait_ms: int = POLL_MS
) -> int:
    """Pass records to the sinks, concurrently, and return their number.

    Without records it waits for ``wait_ms`` milliseconds.
    """
    chunks = await fetch_changes(consumer, wait_ms / 1000)
    await asyncio.gather(*(_apply(consumer, tp, sinks[tp], each) for tp, each in chunks.items()))
    return sum(chunk.records for chunk in chunks.values())


async def _apply(
    consumer: AIOKafkaConsumer, tp: TP, sink: ChangelogSink, chunk: ChangelogChunk
) -> None:
    try:
        if isinstance(sink, RecordSink):
            foreign = await sink.apply_records(chunk.read)
        else:
            foreign = await sink.apply(chunk.changes, chunk.offset)
    except ForeignRowError as exc:
        raise refused(tp, chunk, exc) from exc
    except (ForeignCopyError, StoreCorruptError) as exc:
        log.warning("%s-%s: %s: rebuilding it", tp.topic, tp.partition, exc)
        await sink.reset()
        await consumer.seek_to_beginning(TopicPartition(*tp))
    else:
        offsets = chunk.offsets() if foreign else {}
        for key, reason in foreign:
            FOREIGN.skip(tp, offsets[key], reason)


async def remaining(consumer: AIOKafkaConsumer, ends: Mapping[TP, int]) -> dict[TP, int]:
    """Return the offsets left before ``ends``, for partitions that have any."""
    left = {tp: end - await consumer.position(TopicPartition(*tp)) for tp, end in ends.items()}
    return {tp: number for tp, number in left.items() if number > 0}
