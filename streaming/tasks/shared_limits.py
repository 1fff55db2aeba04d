"""Limits that the tasks of a worker share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sized

#: Tasks that process at the same time.
MAX_PROCESSING_TASKS = 3

#: Batches that are fetched ahead, per task on average: the sum over all tasks is limited.
MAX_BATCHES_AHEAD = 2

#: Approximate bytes of fetched, unprocessed batches above which fetching stops.
WAITING_BYTES = 64 << 20


class SharedLimits:
    """The limits of a worker's tasks: its one Python thread, and its memory."""

    def __init__(self, tasks: Sized) -> None:
        """Begin empty. ``tasks``: the worker's current tasks."""
        self._tasks = tasks
        #: A task processes while another waits for the disk.
        self.processing = asyncio.Semaphore(MAX_PROCESSING_TASKS)
        #: Held during a commit.
        self.committing = asyncio.Lock()
        #: Set when a task requests an early commit.
        self.full = asyncio.Event()
        #: Set when a record waits that makes an answer fresher; a task that is full sets it, too.
        self.urgent = asyncio.Event()
        #: Set when a task has processed records.
        self.processed = asyncio.Event()
        #: Batches in the inboxes of all tasks.
        self.waiting = 0
        #: Bytes of these batches and of those in process.
        self.waiting_bytes = 0
        self._taken = asyncio.Event()

    def share(self, total: float) -> float:
        """Return a task's part of a shared amount, for example bytes."""
        return total / max(1, len(self._tasks))

    async def commit_early(self) -> None:
        """Request an early commit of all tasks, and wait for it."""
        self.full.set()
        self.urgent.set()
        await asyncio.sleep(0)
        async with self.committing:
            pass

    def take(self, count: int) -> None:
        """Remove ``count`` batches from the count."""
        self.waiting -= count
        self._taken.set()

    def release(self, size: int) -> None:
        """Remove ``size`` bytes of batches that were processed or dropped."""
        self.waiting_bytes -= size
        self._taken.set()

    @property
    def _is_enough(self) -> bool:
        return (
            self.waiting >= MAX_BATCHES_AHEAD * max(1, len(self._tasks))
            or self.waiting_bytes >= WAITING_BYTES
        )

    async def wait_for_room(self) -> None:
        """Wait while the tasks together have enough batches; further records stay in Kafka."""
        while self._is_enough:
            self._taken.clear()
            await self._taken.wait()
