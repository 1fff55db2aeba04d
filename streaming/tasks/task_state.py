"""The states of a task, and how it may get from one to another."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class TaskStateError(RuntimeError):
    """A task was asked for what its state does not allow: a fault of this program."""


class TaskState(Enum):
    """Where a task is in its life.

    ::

        CREATED -----> RESTORING -----> RUNNING <-----> SUSPENDED
           |             |   |           |   |           |     |
           |             |   +-----------|---+-> FAILED <+     |
           |             |               |         |           |
           +-------------+----------+----+---------+-----------+
                                    v
                                 CLOSED

    ``SUSPENDED`` is a rebalance: what is folded is committed, and nothing more is accepted until
    the partition is known to stay. What a ``FAILED`` task has folded and not committed is void.
    Nothing leaves ``CLOSED``: whoever wants the partition again builds another task.
    """

    CREATED = "created"
    """Put together; its partition may be another worker's."""
    RESTORING = "restoring"
    """Being locked, brought to the end of its changelogs, and claimed."""
    RUNNING = "running"
    """Accepts batches, and is committed."""
    SUSPENDED = "suspended"
    FAILED = "failed"
    CLOSED = "closed"

    def then(self, following: TaskState) -> TaskState:
        """Return ``following``.

        Raises:
            TaskStateError: no task gets there from this state.
        """
        if following not in _NEXT[self]:
            raise TaskStateError(f"a task that is {self.value} cannot be {following.value}")
        return following


_NEXT: Final[Mapping[TaskState, frozenset[TaskState]]] = MappingProxyType(
    {
        TaskState.CREATED: frozenset({TaskState.RESTORING, TaskState.CLOSED}),
        TaskState.RESTORING: frozenset({TaskState.RUNNING, TaskState.FAILED, TaskState.CLOSED}),
        TaskState.RUNNING: frozenset({TaskState.SUSPENDED, TaskState.FAILED, TaskState.CLOSED}),
        TaskState.SUSPENDED: frozenset({TaskState.RUNNING, TaskState.FAILED, TaskState.CLOSED}),
        TaskState.FAILED: frozenset({TaskState.CLOSED}),
        TaskState.CLOSED: frozenset(),
    }
)

#: States that a task never works in again: it commits nothing more.
ENDED: Final = frozenset({TaskState.FAILED, TaskState.CLOSED})
