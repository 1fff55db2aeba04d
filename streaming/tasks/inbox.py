"""The batches that were fetched for a task and are not folded yet, and what waits behind them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faust.types import TP

    from streaming.kafka.records import Batch
    from streaming.tasks.shared_limits import SharedLimits

#: How often in a row a topic that waits is passed over for one that goes before it.
MOST_PASSED_OVER = 4


class Inbox:
    """A task's batches by topic; those of the topics named first go first, within bounds."""

    def __init__(self, topics: Iterable[TP], shared_limits: SharedLimits) -> None:
        """Start empty; what waits here is counted in ``shared_limits``."""
        self._waiting: dict[TP, deque[Batch]] = {tp: deque() for tp in topics}
        self._passed_over = dict.fromkeys(self._waiting, 0)
        self._high_watermarks: dict[TP, int] = {}
        self._arrived = asyncio.Event()
        self._shared_limits = shared_limits
        #: Bytes of the batch that was taken out last, and is being folded.
        self._folding_bytes = 0

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
        """Wait for a batch, and take it out: the one before is folded."""
        self._release_folded()
        while not self:
            self._arrived.clear()
            await self._arrived.wait()
        tp = self._choose()
        self._shared_limits.take(1)
        batch = self._waiting[tp].popleft()
        self._folding_bytes = batch.size
        return tp, batch

    def _choose(self) -> TP:
        """Return whose turn it is: the first topic's, or one's that has waited for too long."""
        passed_over = self._passed_over
        waiting = [tp for tp, batches in self._waiting.items() if batches]
        starving = (tp for tp in waiting if passed_over[tp] >= MOST_PASSED_OVER)
        chosen = next(starving, waiting[0])
        for tp in waiting:
            passed_over[tp] += 1
        passed_over[chosen] = 0
        return chosen

    def _release_folded(self) -> None:
        self._shared_limits.release(self._folding_bytes)
        self._folding_bytes = 0

    def close(self) -> None:
        """Drop all that waits, and what was taken out last: nobody folds any more."""
        self.clear()
        self._release_folded()

    def clear(self) -> None:
        """Drop all that waits: it will be fetched again."""
        for waiting in self._waiting.values():
            self._shared_limits.take(len(waiting))
            self._shared_limits.release(sum(batch.size for batch in waiting))
            waiting.clear()
        self._high_watermarks.clear()

    def behind(self, positions: Mapping[TP, int]) -> int:
        """Return how many records wait from ``positions`` on, by what the last fetches told."""
        ends = self._high_watermarks
        return sum(max(0, ends.get(tp, at) - at) for tp, at in positions.items())
