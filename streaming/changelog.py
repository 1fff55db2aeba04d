"""Changelog topics, read: to restore a partition, and to follow one that others write.

Both go by a consumer of their own, as Kafka Streams' restore consumer does, and by the consumer's
position: the control record at a changelog's end never arrives as a message, but the position
passes it, so a restore ends when it is done and not by a time-out.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from faust.types import TP

from monitoring import metrics
from tables.layout import ForeignCopyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

log = logging.getLogger(__name__)

#: Bytes fetched of one partition at once.
FETCH_BYTES = 2 << 20

#: Milliseconds that a poll waits. Short: at the log's end there may be only a control record,
#: which wakes nobody.
POLL_MS = 50

#: Seconds between two lines about a long restore.
PROGRESS_INTERVAL = 5.0

Changes = dict[bytes, "bytes | None"]


class ChangelogSink(Protocol):
    """Takes what a changelog says."""

    @property
    def offset(self) -> int | None:
        """Offset of the last record taken, None when there is none."""

    async def apply(self, changes: Changes, offset: int) -> None:
        """Take ``changes``, the last of which stood at ``offset``.

        Raises:
            ForeignCopyError: what was taken before is of another changelog.
        """

    async def reset(self) -> None:
        """Forget everything: what was taken is not of this changelog."""


@asynccontextmanager
async def changelog_consumer(settings: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    """Connect a consumer that belongs to no group and reads what is committed."""
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
    """Assign the changelogs of ``sinks`` and go to where each of those stands.

    Returns:
        The end offset of each changelog, as it is now.
    """
    tps = [TopicPartition(*tp) for tp in sinks]
    consumer.assign(tps)
    begins, ends = await asyncio.gather(consumer.beginning_offsets(tps), consumer.end_offsets(tps))
    for tp, sink in zip(tps, sinks.values(), strict=True):
        start = begins[tp]
        if sink.offset is not None:
            if begins[tp] <= sink.offset + 1 <= ends[tp]:
                start = sink.offset + 1
            else:
                log.warning(
                    "%s-%s: what is on disk stands at offset %s, the changelog spans %s to %s: "
                    "building it anew",
                    *(tp.topic, tp.partition, sink.offset, begins[tp], ends[tp]),
                )
                await sink.reset()
        consumer.seek(tp, start)
    return {TP(*tp): end for tp, end in ends.items()}


async def poll(consumer: AIOKafkaConsumer, sinks: Mapping[TP, ChangelogSink]) -> int:
    """Hand what there is to the sinks, and return the number of records."""
    count = 0
    for tp, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
        changes = {record.key: record.value for record in records}
        sink = sinks[TP(*tp)]
        try:
            await sink.apply(changes, records[-1].offset)
        except ForeignCopyError:
            log.warning(
                "%s-%s: what is on disk is a copy of another table: building it anew",
                *(tp.topic, tp.partition),
            )
            await sink.reset()
            await consumer.seek_to_beginning(tp)
        count += len(records)
    return count


async def restore(
    settings: Mapping[str, Any],
    sinks: Mapping[TP, ChangelogSink],
    progress: Callable[[Mapping[TP, int]], None] | None = None,
) -> int:
    """Bring ``sinks`` to the end of their changelogs, as those are now.

    Returns:
        The number of records read.
    """
    if not sinks:
        return 0
    begun = told = monotonic()
    count = 0
    async with changelog_consumer(settings) as consumer:
        ends = await seek_to_sinks(consumer, sinks)
        while True:
            remaining = {}
            for tp, end in ends.items():
                left = end - await consumer.position(TopicPartition(*tp))
                if left > 0:
                    remaining[tp] = left
            _show_remaining(sinks, remaining)
            if progress:
                progress(remaining)
            if not remaining:
                break
            count += await poll(consumer, sinks)
            if monotonic() - told >= PROGRESS_INTERVAL:
                told = monotonic()
                rate = count / (told - begun)
                left = sum(remaining.values())
                log.info(
                    "recovering: %s records read, %.0f/s, %s to go, about %.0f s",
                    *(count, rate, left, left / rate if rate else float("inf")),
                )
    if count:
        log.info("recovered %s records in %.2f s", count, monotonic() - begun)
    return count


def _show_remaining(sinks: Mapping[TP, ChangelogSink], remaining: Mapping[TP, int]) -> None:
    totals: dict[int, int] = {tp.partition: 0 for tp in sinks}
    for tp, left in remaining.items():
        totals[tp.partition] += left
    for partition, left in totals.items():
        metrics.recovery_remaining.labels(str(partition)).set(left)


class ChangelogFollower:
    """Keeps sinks up to date with changelogs that others write: standbys and global tables."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Prepare to read with aiokafka's consumer ``settings``."""
        self._settings = settings
        self._sinks: dict[TP, ChangelogSink] = {}
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    async def follow(self, sinks: Mapping[TP, ChangelogSink]) -> None:
        """Follow exactly ``sinks`` from now on."""
        if self._task is not None and dict(sinks) == self._sinks and not self._task.done():
            return
        await self.stop()
        self._sinks = dict(sinks)
        self._caught_up.clear()
        self._task = asyncio.create_task(self._run(), name="changelog-follower")

    @property
    def is_caught_up(self) -> bool:
        """Whether every sink has been at the end once since :meth:`follow`."""
        return self._caught_up.is_set()

    async def wait_caught_up(self) -> None:
        """Wait until every sink has been at the end once since :meth:`follow`."""
        await self._caught_up.wait()

    async def stop(self) -> None:
        """Stop following."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        delay = 0.5
        while self._sinks:
            try:
                async with changelog_consumer(self._settings) as consumer:
                    ends = await seek_to_sinks(consumer, self._sinks)
                    while True:
                        await poll(consumer, self._sinks)
                        delay = 0.5
                        if not self._caught_up.is_set():
                            behind = [
                                tp
                                for tp, end in ends.items()
                                if await consumer.position(TopicPartition(*tp)) < end
                            ]
                            if not behind:
                                self._caught_up.set()
            except Exception as exc:  # noqa: BLE001 - following goes on, come what may
                log.warning("following changelogs: %r; again in %.1f s", exc, delay)
                await asyncio.sleep(delay)
                delay = min(2 * delay, 10.0)
        self._caught_up.set()
