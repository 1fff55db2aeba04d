"""What the tasks of a worker take turns at, and equal parts of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sized

#: Tasks that fold at the same time.
FOLDING_AT_ONCE = 3

#: Batches, for each task, that are fetched ahead of what is being folded.
BATCHES_AHEAD = 2

#: Bytes of all batches that are fetched and not folded yet, about: with more, none are fetched.
WAITING_BYTES = 64 << 20


class SharedLimits:
    """What the tasks of a worker share: its one thread of Python, and its memory."""

    def __init__(self, tasks: Sized) -> None:
        """Nothing waits yet. ``tasks``: all that share, as they come and go."""
        self._tasks = tasks
        #: One applies while another waits for the disk; everyone else's turn comes soon.
        self.folding = asyncio.Semaphore(FOLDING_AT_ONCE)
        #: Held while what they have folded is committed.
        self.committing = asyncio.Lock()
        #: Set when one has folded so much that all commit before their time.
        self.full = asyncio.Event()
        #: Batches in the inboxes of all tasks.
        self.waiting = 0
        #: Bytes of memory that these take, and those that are being folded.
        self.waiting_bytes = 0
        self._taken = asyncio.Event()

    def share(self, total: float) -> float:
        """Return a task's part of what all share, bytes for instance."""
        return total / max(1, len(self._tasks))

    async def commit_early(self) -> None:
        """Have all tasks commit before their time, and wait until that is done."""
        self.full.set()
        await asyncio.sleep(0)
        async with self.committing:
            pass

    def take(self, count: int) -> None:
        """Count ``count`` batches that wait no more."""
        self.waiting -= count
        self._taken.set()

    def release(self, size: int) -> None:
        """Count ``size`` bytes of batches that are folded, or dropped."""
        self.waiting_bytes -= size
        self._taken.set()

    @property
    def _is_enough(self) -> bool:
        return (
            self.waiting >= BATCHES_AHEAD * max(1, len(self._tasks))
            or self.waiting_bytes >= WAITING_BYTES
        )

    async def wait_for_room(self) -> None:
        """Wait while there is enough to fold for every task: what is behind that stays in Kafka."""
        while self._is_enough:
            self._taken.clear()
            await self._taken.wait()
