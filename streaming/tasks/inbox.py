"""A task's fetched batches, and the number of records behind them in Kafka."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faust.types import TP

    from streaming.kafka.records import Batch
    from streaming.tasks.shared_limits import SharedLimits

#: How often in a row a waiting topic is skipped for one of higher priority.
MAX_PASSED_OVER = 4


class Inbox:
    """A task's batches by topic; topics named first have priority, within bounds."""

    def __init__(self, topics: Iterable[TP], shared_limits: SharedLimits) -> None:
        """Start empty; batches here are counted in ``shared_limits``."""
        self._waiting: dict[TP, deque[Batch]] = {tp: deque() for tp in topics}
        self._passed_over = dict.fromkeys(self._waiting, 0)
        self._high_watermarks: dict[TP, int] = {}
        self._arrived = asyncio.Event()
        self._shared_limits = shared_limits
        #: Bytes of the batch in process.
        self._processing_bytes = 0

    def __bool__(self) -> bool:
        """Whether a batch waits."""
        return any(self._waiting.values())

    def put(self, tp: TP, batch: Batch) -> None:
        """Add a batch."""
        self._shared_limits.waiting += 1
        self._shared_limits.waiting_bytes += batch.size
        self._waiting[tp].append(batch)
        self._high_watermarks[tp] = batch.high_watermark
        self._arrived.set()

    async def next(self) -> tuple[TP, Batch]:
        """Wait for a batch and return it; the previous batch is processed."""
        self._release_processed()
        while not self:
            self._arrived.clear()
            await self._arrived.wait()
        tp = self._choose()
        self._shared_limits.take(1)
        batch = self._waiting[tp].popleft()
        self._processing_bytes = batch.size
        return tp, batch

    def _choose(self) -> TP:
        """Return the next topic: the first by priority, or one that was skipped too often."""
        passed_over = self._passed_over
        waiting = [tp for tp, batches in self._waiting.items() if batches]
        starving = (tp for tp in waiting if passed_over[tp] >= MAX_PASSED_OVER)
        chosen = next(starving, waiting[0])
        for tp in waiting:
            passed_over[tp] += 1
        passed_over[chosen] = 0
        return chosen

    def _release_processed(self) -> None:
        self._shared_limits.release(self._processing_bytes)
        self._processing_bytes = 0

    def close(self) -> None:
        """Drop all batches, including the one in process, for good."""
        self.clear()
        self._release_processed()

    def clear(self) -> None:
        """Drop all batches; they will be fetched again."""
        for waiting in self._waiting.values():
            self._shared_limits.take(len(waiting))
            self._shared_limits.release(sum(batch.size for batch in waiting))
            waiting.clear()
        self._high_watermarks.clear()

    def behind(self, positions: Mapping[TP, int]) -> int:
        """Return the number of records from ``positions`` on, as of the last fetches."""
        ends = self._high_watermarks
        return sum(max(0, ends.get(tp, at) - at) for tp, at in positions.items())
