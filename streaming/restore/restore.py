"""Restoring partitions from their changelogs, with progress in the log and in metrics."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from monitoring import metrics
from streaming.restore.changelog import changelog_consumer, poll, remaining, seek_to_sinks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faust.types import TP

    from streaming.restore.changelog import ChangelogSink

log = logging.getLogger(__name__)

#: Seconds between two log lines of a long restore.
PROGRESS_INTERVAL_S = 5.0


async def restore(settings: Mapping[str, Any], sinks: Mapping[TP, ChangelogSink]) -> int:
    """Restore ``sinks`` to the current end of their changelogs.

    Arguments:
        settings: aiokafka's settings for the connection.
        sinks: receivers of changes, by changelog partition.

    Returns:
        The number of records read.
    """
    if not sinks:
        return 0
    with _Progress({tp.partition for tp in sinks}) as progress:
        async with changelog_consumer(settings) as consumer:
            ends = await seek_to_sinks(consumer, sinks)
            while left := await remaining(consumer, ends):
                progress.show(left)
                progress.add(await poll(consumer, sinks))
        await asyncio.gather(*(sink.caught_up() for sink in sinks.values()))
        progress.end()
    return progress.records


class _Progress:
    """Reports the progress of a restore."""

    def __init__(self, partitions: set[int]) -> None:
        """Begin at zero records."""
        self.records = 0
        self._is_complete = False
        self._partitions = partitions
        self._begun = self._sought = monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the gauges of a restore that was cut short: its partitions may be elsewhere."""
        metrics.recovery_rate.set(0.0)
        metrics.recovery_seconds_remaining.set(0.0)
        if not self._is_complete:
            for partition in self._partitions:
                metrics.recovery_remaining.remove(str(partition))

    def add(self, records: int) -> None:
        self.records += records
        metrics.recovery_records.inc(records)

    def show(self, left: Mapping[TP, int]) -> None:
        """Report the offsets ``left`` per changelog, with an occasional log line."""
        by_partition = dict.fromkeys(self._partitions, 0)
        for tp, number in left.items():
            by_partition[tp.partition] += number
        for partition, number in by_partition.items():
            metrics.recovery_remaining.labels(str(partition)).set(number)
        rate = self.records / max(monotonic() - self._begun, 1e-9)
        seconds = sum(left.values()) / rate if rate else 0.0
        metrics.recovery_rate.set(rate if left else 0.0)
        metrics.recovery_seconds_remaining.set(seconds)
        if monotonic() - self._sought >= PROGRESS_INTERVAL_S:
            self._sought = monotonic()
            log.info(
                "recovering: %s records read, %s/s, %s left, about %.0f s",
                *(f"{self.records:,}", f"{rate:,.0f}", f"{sum(left.values()):,}", seconds),
            )

    def end(self) -> None:
        """Report the end of a complete restore."""
        self.show({})
        self._is_complete = True
        if self.records:
            seconds = monotonic() - self._begun
            log.info(
                "recovered %s records in %.2f s, %s/s",
                *(f"{self.records:,}", seconds, f"{self.records / max(seconds, 1e-9):,.0f}"),
            )
