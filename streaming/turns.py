"""What the tasks of a worker share: its one thread of Python, and its memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sized

#: Tasks that fold at the same time.
FOLDING_AT_ONCE = 3

#: Batches, for each task, that are fetched ahead of what is being folded.
BATCHES_AHEAD = 2

#: Bytes of what all tasks have folded and not begun to commit; what is being committed is as much
#: again at most. Values of hundreds of bytes never reach it within a second. Less of it costs more
#: than it saves: a third made values of 2 KB twice as dear, since fewer events shared a write.
UNCOMMITTED_BYTES = 192 << 20

#: Bytes of what all tasks have committed and RocksDB has not got yet, before a commit waits for it.
#: A steady 50,000 events/s make 80 MiB in the interval of settling, 140 after an hour of 1 million
#: users. Room for less has that written in a hurry, more often, and read again.
UNWRITTEN_BYTES = 176 << 20

#: Part of that which is settled before its time. Behind in a backlog each commit leaves about as
#: much.
MUCH_UNWRITTEN = 0.75

#: Bytes of all rows in memory when a commit begins, before those that are on disk as well are let
#: go. In a steady load there is room for what half a minute has written, in a backlog for little.
ROW_BYTES = 224 << 20

#: Bytes of the rows that these have at hand, before some are let go likewise, and of what is
#: unwritten before a commit waits. Users with hundreds of ids within the horizon have more there
#: than in rows of their own.
COMPANION_BYTES = 256 << 20


class Turns:
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
        self._taken = asyncio.Event()

    @property
    def uncommitted_share(self) -> float:
        """Bytes of what a task may have folded and not begun to commit."""
        return UNCOMMITTED_BYTES / max(1, len(self._tasks))

    @property
    def unwritten_share(self) -> float:
        """Bytes of what a task may have committed and not written."""
        return UNWRITTEN_BYTES / max(1, len(self._tasks))

    @property
    def companion_share(self) -> float:
        """Bytes of the rows that those of a task may have at hand."""
        return COMPANION_BYTES / max(1, len(self._tasks))

    @property
    def row_share(self) -> float:
        """Bytes of the rows that a task may have in memory, as long as some are on disk."""
        return ROW_BYTES / max(1, len(self._tasks))

    def take(self, count: int) -> None:
        """Count ``count`` batches that wait no more."""
        self.waiting -= count
        self._taken.set()

    async def wait_for_room(self) -> None:
        """Wait while there is enough to fold for every task: what is behind that stays in Kafka."""
        while self.waiting >= BATCHES_AHEAD * max(1, len(self._tasks)):
            self._taken.clear()
            await self._taken.wait()
