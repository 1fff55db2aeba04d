"""How the tasks of a worker share its one thread of Python, and how far ahead they are fed."""

from __future__ import annotations

import asyncio

#: Tasks that fold at the same time.
FOLDING_AT_ONCE = 3


class Turns:
    """How the tasks of a worker share its one thread of Python."""

    def __init__(self) -> None:
        """Nothing waits yet."""
        #: One applies while another waits for the disk; everyone else's turn comes soon.
        self.folding = asyncio.Semaphore(FOLDING_AT_ONCE)
        #: Batches in the inboxes of all tasks.
        self.waiting = 0
        self._taken = asyncio.Event()

    def take(self, count: int) -> None:
        """Count ``count`` batches that wait no more."""
        self.waiting -= count
        self._taken.set()

    async def wait_for_room(self, most: int) -> None:
        """Wait until fewer than ``most`` batches wait: what is behind that stays in Kafka."""
        while self.waiting >= most:
            self._taken.clear()
            await self._taken.wait()
