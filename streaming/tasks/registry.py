"""The tasks of a worker by partition number, and the assignment that decides on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.tasks.task_state import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from faust.types import TP

    from streaming.tasks.task import Task


class TaskRegistry:
    """The assigned partitions, their generation, and their tasks.

    A rebalance begins with :meth:`suspend` and ends with :meth:`assign`. Code that awaits brokers
    meanwhile must check :meth:`is_outdated` before it relies on what it read before.
    """

    def __init__(self) -> None:
        """Begin without an assignment."""
        #: By partition number; shared with others, who only read it.
        self.tasks: dict[int, Task] = {}
        self.assigned: AbstractSet[int] = frozenset()
        #: The group's generation, None before the first assignment.
        self.generation: int | None = None
        self._is_rebalancing = False
        #: Partitions whose positions the consumer knows.
        self._sought: set[int] = set()

    def add(self, task: Task) -> None:
        """Add an opened task; the consumer must seek its positions."""
        self.tasks[task.partition] = task
        self._sought.discard(task.partition)

    def remove(self, partition: int) -> Task | None:
        """Remove a task, and return it."""
        return self.tasks.pop(partition, None)

    def is_current(self, task: Task) -> bool:
        """Whether no other task is open for the partition of ``task``."""
        return self.tasks.get(task.partition, task) is task

    @property
    def suspended(self) -> list[Task]:
        """Tasks suspended by a rebalance."""
        return [task for task in self.tasks.values() if task.state is TaskState.SUSPENDED]

    @property
    def missing(self) -> AbstractSet[int]:
        """Assigned partitions without a task."""
        return self.assigned - self.tasks.keys()

    def suspend(self) -> None:
        """Begin a rebalance."""
        self._is_rebalancing = True

    def assign(self, partitions: AbstractSet[int], generation: int) -> list[int]:
        """Set the group's assignment of a generation.

        Returns:
            The partitions whose tasks must be closed: those no longer assigned, those that failed,
            and all if a generation was missed, because other workers may have owned them.
        """
        missed = self.generation is not None and generation != self.generation + 1
        self.assigned, self.generation = frozenset(partitions), generation
        self._is_rebalancing = False
        self._sought.clear()
        return [
            number
            for number, task in self.tasks.items()
            if number not in self.assigned or task.failed or missed
        ]

    def is_outdated(self, generation: int | None) -> bool:
        """Whether another rebalance has begun since ``generation``."""
        return self._is_rebalancing or generation != self.generation

    def open_tps(self) -> set[TP]:
        """Return the partitions, of all topics, of running tasks."""
        return {tp for task in self.tasks.values() if task.accepting for tp in task.positions}

    def pending_seeks(self) -> dict[TP, int]:
        """Return the positions of tasks that opened or resumed since the last call."""
        tasks = [
            task
            for number, task in self.tasks.items()
            if task.accepting and number not in self._sought
        ]
        self._sought.update(task.partition for task in tasks)
        return {tp: at for task in tasks for tp, at in task.positions.items()}

    def seek_again(self, tps: Iterable[TP]) -> None:
        """Let the next :meth:`pending_seeks` return ``tps`` again, because their seek failed."""
        self._sought.difference_update(tp.partition for tp in tps)


def name_of(partitions: AbstractSet[int]) -> str:
    """Return partitions as text for a message."""
    numbers = sorted(partitions)
    return f"partition{'s' * (len(numbers) != 1)} {', '.join(map(str, numbers))}"
