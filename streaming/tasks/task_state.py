"""The states of a task, and the legal transitions."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class TaskStateError(RuntimeError):
    """An illegal transition: a fault in this program."""


class TaskState(Enum):
    """The state of a task.

    ::

        CREATED -----> RESTORING -----> RUNNING <-----> SUSPENDED
           |             |   |           |   |           |     |
           |             |   +-----------|---+-> FAILED <+     |
           |             |               |         |           |
           +-------------+----------+----+---------+-----------+
                                    v
                                 CLOSED

    A rebalance puts tasks into ``SUSPENDED``: changes are committed, and no batch is accepted until
    the partition is known to stay. Uncommitted changes of a ``FAILED`` task are void. ``CLOSED`` is
    final; to open the partition again, another task is created.
    """

    CREATED = "created"
    """Created; another worker may still own the partition."""
    RESTORING = "restoring"
    """The partition is locked, restored from its changelogs, and claimed."""
    RUNNING = "running"
    """The task accepts batches and is committed."""
    SUSPENDED = "suspended"
    FAILED = "failed"
    CLOSED = "closed"

    def then(self, following: TaskState) -> TaskState:
        """Return ``following``.

        Raises:
            TaskStateError: the transition is illegal.
        """
        if following not in _NEXT[self]:
            raise TaskStateError(f"a task that is {self.value} cannot become {following.value}")
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

#: States in which a task never commits again.
ENDED: Final = frozenset({TaskState.FAILED, TaskState.CLOSED})
