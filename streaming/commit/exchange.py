"""Exchanges: tasks of a worker process each other's deltas, more often than they commit.

A video's answer counts an event after the next exchange. Commits may then be less frequent, and
cost the worker and the brokers less. Tasks that have exchanged deltas commit together or not at
all.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from streaming.commit.handover import hand_over

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from streaming.commit.fencing import Fencing
    from streaming.commit.pacing import CommitPace
    from streaming.tasks.shared_limits import SharedLimits
    from streaming.tasks.task import Task

#: The shortest pause after an exchange, as a multiple of its duration. It bounds the share of time
#: that exchanges take under load.
EXCHANGE_REST = 3.0


class Exchange:
    """The exchanges of a worker's tasks."""

    def __init__(
        self, tasks: Mapping[int, Task], fencing: Fencing, shared_limits: SharedLimits
    ) -> None:
        """Exchange nothing before :meth:`run`; the arguments are those of the committer."""
        self._tasks = tasks
        self._fencing = fencing
        self._shared_limits = shared_limits
        #: Tasks that have exchanged deltas since the last commit began.
        self._bound: dict[Task, None] = {}

    async def run(self, pace: CommitPace) -> None:
        """Exchange deltas at the pace's interval while records are processed."""
        limits = self._shared_limits
        while True:
            await limits.processed.wait()
            begun = perf_counter()
            tasks = [
                task
                for task in self._tasks.values()
                if task.accepting and self._fencing.holds(task.claimed_for)
            ]
            if any(task.outbox.is_urgent for task in self.prepare(tasks)):
                limits.urgent.set()
            took_s = perf_counter() - begun
            await asyncio.sleep(max(pace.exchange_s, EXCHANGE_REST * took_s))

    def prepare(self, tasks: Iterable[Task]) -> list[Task]:
        """Prepare ``tasks``, and let them exchange deltas; return those that still run."""
        prepared = [task for task in tasks if task.prepare()]
        if hand_over(prepared):
            self._bound.update(dict.fromkeys(prepared))
        return prepared

    def with_bound(self, tasks: Iterable[Task]) -> Collection[Task]:
        """Return ``tasks``, and those that must be in the same commit."""
        return dict.fromkeys([*tasks, *self._bound])

    def release(self) -> Collection[Task]:
        """Return the tasks that have exchanged deltas, and begin anew."""
        bound, self._bound = self._bound, {}
        return bound
