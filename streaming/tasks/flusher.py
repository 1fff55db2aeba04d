"""Step 6 of the commit: a task flushes the rows of many commits to RocksDB.

Flushes run beside the commits. Commits wait only when unflushed rows use too much memory.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streaming.tasks.memory_budget import EARLY_FLUSH_SHARE
from streaming.timing import CommitTimer
from streaming.waiting import set_within
from tables.rocks import FULL_PACE, SLOW_PACE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming.tasks.memory_budget import MemoryBudget
    from tables.rocks import WritePace
    from tables.state import PartitionState

#: Seconds between two flushes, and so the part of the changelog that is read after a kill -9.
FLUSH_INTERVAL_S = 10.0

#: Staggers tasks: its multiples modulo 1 spread evenly.
GOLDEN_RATIO = 0.618034


class Flusher:
    """Flushes the tables of one partition."""

    def __init__(
        self,
        partition: int,
        states: Sequence[PartitionState],
        budget: MemoryBudget,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Flush ``states``, early if ``budget`` requires it, and never after a failure."""
        self._partition = partition
        self._states = states
        self._budget = budget
        self._on_failure = on_failure
        self._flushing = asyncio.Lock()
        self._much = asyncio.Event()
        self._is_stopped = False

    async def run(self) -> None:
        """Flush every :data:`FLUSH_INTERVAL_S`, and when the budget requires it."""
        await asyncio.sleep(first_pause_s(self._partition, FLUSH_INTERVAL_S))
        while True:
            # An early flush is fast, because commits will soon wait for it.
            pace = FULL_PACE if self._much.is_set() else SLOW_PACE
            self._much.clear()
            await self.flush(pace)
            await set_within(self._much, FLUSH_INTERVAL_S)

    async def flush(self, pace: WritePace = FULL_PACE) -> None:
        """Write the committed rows; a failure goes to ``on_failure``."""
        async with self._flushing:
            if self._is_stopped:
                return
            clock = CommitTimer()
            try:
                # One table after the other leaves the second thread to reads.
                for state in self._states:
                    await state.flush(pace)
            except Exception as exc:  # noqa: BLE001 - the copy on disk is wrong
                self._on_failure(exc)
            clock.done("flush")

    async def flush_early(self) -> None:
        """Request a flush if the budget requires it; wait if the disk is slower than commits."""
        much = self._budget.unflushed
        if much > 1:
            await self.flush()
        elif much > EARLY_FLUSH_SHARE:
            self._much.set()

    def stop(self) -> None:
        """Start no further flush."""
        self._is_stopped = True

    async def idle(self) -> None:
        """Wait for the end of the current flush."""
        async with self._flushing:
            pass


def first_pause_s(partition: int, interval_s: float) -> float:
    """Return the seconds before a task's first periodic action.

    It differs by partition, so that tasks that start together do not flush together.
    """
    return interval_s * (partition * GOLDEN_RATIO % 1.0)
