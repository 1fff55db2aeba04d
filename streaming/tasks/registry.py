"""The tasks of a worker by partition number, and the assignment that says which there are to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.tasks.task_state import TaskState

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from faust.types import TP

    from streaming.tasks.task import Task


class TaskRegistry:
    """Which partitions the group has assigned, as of which generation, and their tasks.

    A rebalance begins with :meth:`suspend` and ends with :meth:`assign`. Whoever waits for brokers
    meanwhile asks :meth:`is_outdated` before it goes by what it knew.
    """

    def __init__(self) -> None:
        """Nothing is assigned yet."""
        #: By partition number; others look on as they come and go.
        self.tasks: dict[int, Task] = {}
        self.assigned: AbstractSet[int] = frozenset()
        #: Of the group, None before the first assignment.
        self.generation: int | None = None
        self._is_rebalancing = False
        #: Partitions of which the consumer knows where their tasks stand.
        self._sought: set[int] = set()

    def add(self, task: Task) -> None:
        """Add a task that has opened: where it stands is for the consumer to seek."""
        self.tasks[task.partition] = task
        self._sought.discard(task.partition)

    def remove(self, partition: int) -> Task | None:
        """Take a task out, and return it."""
        return self.tasks.pop(partition, None)

    def is_current(self, task: Task) -> bool:
        """Whether no other task is open for the partition of ``task``."""
        return self.tasks.get(task.partition, task) is task

    @property
    def suspended(self) -> list[Task]:
        """Tasks that wait for the end of a rebalance."""
        return [task for task in self.tasks.values() if task.state is TaskState.SUSPENDED]

    @property
    def missing(self) -> AbstractSet[int]:
        """Partitions that are assigned, and have no task."""
        return self.assigned - self.tasks.keys()

    def suspend(self) -> None:
        """Take note that a rebalance has begun."""
        self._is_rebalancing = True

    def assign(self, partitions: AbstractSet[int], generation: int) -> list[int]:
        """Take over what the group has assigned in a generation.

        Returns:
            The partitions whose tasks have to be closed: those that are not assigned any more,
            those that have failed, and all of them when a generation was missed. Others may have
            had the partitions meanwhile.
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
        """Whether a rebalance has begun since ``generation``, with its own idea of all this."""
        return self._is_rebalancing or generation != self.generation

    def open_tps(self) -> set[TP]:
        """Return the partitions of all topics whose tasks are at work."""
        return {tp for task in self.tasks.values() if task.accepting for tp in task.positions}

    def pending_seeks(self) -> dict[TP, int]:
        """Return where the tasks stand that have opened or resumed since this was last asked."""
        tasks = [
            task
            for number, task in self.tasks.items()
            if task.accepting and number not in self._sought
        ]
        self._sought.update(task.partition for task in tasks)
        return {tp: at for task in tasks for tp, at in task.positions.items()}


def name_of(partitions: AbstractSet[int]) -> str:
    """Return partitions as a message names them."""
    numbers = sorted(partitions)
    return f"partition{'s' * (len(numbers) != 1)} {', '.join(map(str, numbers))}"
