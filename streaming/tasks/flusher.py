"""Step 6 of the commit: what a task has committed is written to RocksDB, for many commits at once.

Beside the commits, at its own pace; when so much is waiting that memory runs short, commits wait.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from streaming.tasks.memory_budget import MUCH_UNWRITTEN
from streaming.timing import CommitTimer
from tables.rocks import AT_ONCE, UNHURRIED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming.tasks.memory_budget import MemoryBudget
    from tables.rocks import WritePace
    from tables.state import PartitionState

#: Seconds between two writes of what is committed to RocksDB. That much of the changelog has to be
#: read after a kill -9.
FLUSH_INTERVAL_S = 10.0

#: Staggers what tasks do: multiples of it, modulo 1, spread evenly.
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
        """Flush ``states``, early as ``budget`` asks; nothing after a failure."""
        self._partition = partition
        self._states = states
        self._budget = budget
        self._on_failure = on_failure
        self._flushing = asyncio.Lock()
        self._much = asyncio.Event()
        self._is_stopped = False

    async def run(self) -> None:
        """Flush every :data:`FLUSH_INTERVAL_S`, and when much is unwritten."""
        await asyncio.sleep(first_pause_s(self._partition, FLUSH_INTERVAL_S))
        while True:
            # Not in time: commits are about to wait for it.
            pace = AT_ONCE if self._much.is_set() else UNHURRIED
            self._much.clear()
            await self.flush(pace)
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_INTERVAL_S):
                    await self._much.wait()

    async def flush(self, pace: WritePace = AT_ONCE) -> None:
        """Write what is committed; a failure goes to ``on_failure``."""
        async with self._flushing:
            if self._is_stopped:
                return
            clock = CommitTimer()
            try:
                # One after the other: reads have the other thread.
                for state in self._states:
                    await state.flush(pace)
            except Exception as exc:  # noqa: BLE001 - the copy on disk is not what it should be
                self._on_failure(exc)
            clock.done("flush")

    async def flush_early(self) -> None:
        """Flush when there is much: beside the commits, until they are faster than the disk."""
        much = self._budget.unwritten
        if much > 1:
            await self.flush()
        elif much > MUCH_UNWRITTEN:
            self._much.set()

    def stop(self) -> None:
        """Begin no flush any more."""
        self._is_stopped = True

    async def idle(self) -> None:
        """Wait until no flush is under way."""
        async with self._flushing:
            pass


def first_pause_s(partition: int, interval_s: float) -> float:
    """Return how many seconds a task waits for the first time with what it does so often.

    Tasks that begin together do not flush together: their bursts would add up.
    """
    return interval_s * (partition * GOLDEN_RATIO % 1.0)
