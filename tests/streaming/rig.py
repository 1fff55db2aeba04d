"""A worker's tasks and their opener in memory, without a broker or a disk."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from streaming.commit.committer import Committer
from streaming.commit.fencing import Fencing
from streaming.runtime.task_opener import TaskOpener
from streaming.tasks.outbox import Outbox
from streaming.tasks.registry import TaskRegistry
from streaming.tasks.shared_limits import SharedLimits
from streaming.tasks.task import Task
from tests.streaming.fakes import Counter, Producer
from tests.streaming.faulty import Databases, KnownPositions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from faust.types import TP

    from streaming.kafka.producer import TransactionalProducer
    from streaming.runtime.task_factory import TaskContext
    from streaming.runtime.task_reviver import TaskReviver


class Worker:
    """A worker's registry, claims and opener, and everything that they use."""

    def __init__(self, positions: KnownPositions | None = None) -> None:
        self.registry = TaskRegistry()
        self.shared_limits = SharedLimits(self.registry.tasks)
        self.fencing = Fencing("reels", self._connect, self.shared_limits.committing)
        self.committer = Committer(
            self.registry.tasks, self.fencing, self.shared_limits, self._commit_failed
        )
        self.databases = Databases()
        self.positions = positions or KnownPositions()
        self.opener = TaskOpener(
            self.registry,
            self.fencing,
            self.positions,
            [self.databases],
            build=self.build,
            refresh_limits=partial(self._note, "limits"),
            restore=self._restore,
        )
        #: By partition, the class or function that makes its lock.
        self.lock: dict[int, Callable[[str], Producer]] = {}
        self.restore: Callable[[Iterable[TP]], Awaitable[None]] = self._apply_nothing
        #: The steps of opening, and the tasks, both in order of occurrence.
        self.steps: list[str] = []
        self.built: list[Task] = []
        self.producers: list[Producer] = []
        self.failures: list[BaseException] = []
        self.commit_failures: list[BaseException] = []
        self.gaps: list[TP] = []
        self.reviver: TaskReviver | None = None

    async def _note(self, step: str) -> None:
        self.steps.append(step)

    def _connect(self, name: str) -> TransactionalProducer:
        number = name.removeprefix("reels-")
        is_lock = number.isdigit()
        #: Any: the methods of this producer are replaced.
        producer: Any = (self.lock.get(int(number), Producer) if is_lock else Producer)(name)
        if not is_lock:
            self.producers.append(producer)
        start, transaction = producer.start, producer.transaction
        last_ended = producer.last_ended

        async def noted_start() -> None:
            self.steps.append(f"{'lock' if is_lock else 'start'} {number}")
            await start()

        def noted_transaction() -> Any:
            if is_lock:
                self.steps.append(f"claim {number}")
            return transaction()

        async def noted_end(tp: TP) -> None:
            if is_lock:
                self.steps.append(f"settle {tp.partition}")
            await last_ended(tp)

        producer.start, producer.transaction = noted_start, noted_transaction
        producer.last_ended = noted_end
        return cast("TransactionalProducer", producer)

    async def _restore(self, sinks: Iterable[TP]) -> None:
        self.steps.append(f"restore {', '.join(str(tp.partition) for tp in sinks)}")
        await self.restore(sinks)

    async def _apply_nothing(self, _sinks: object) -> None:
        pass

    async def build(self, partition: int) -> Task:
        """Build a task."""
        state, outbox = await self.databases.open(partition), Outbox()
        task = Task(
            partition,
            [Counter(state, outbox)],
            outbox,
            self.fencing.lock_of(partition),
            on_failure=self._task_failed,
            refetch=lambda _, tp: self.gaps.append(tp),
            shared_limits=self.shared_limits,
        )
        self.built.append(task)
        return task

    def _task_failed(self, task: Task, exc: BaseException) -> None:
        self.failures.append(exc)
        if self.reviver is not None:
            self.reviver.task_failed(task, exc)

    def _commit_failed(self, exc: BaseException) -> None:
        self.commit_failures.append(exc)
        if self.reviver is not None:
            self.reviver.commit_failed(exc)

    async def open(self, *partitions: int, generation: int = 1) -> None:
        """Assign ``partitions`` and open those that are not open."""
        self.registry.assign(set(partitions), generation)
        await self.opener.open_assigned()

    async def rebalance(self, *partitions: int) -> None:
        """Suspend all tasks, then assign ``partitions`` in the next generation."""
        self.registry.suspend()
        await self.committer.suspend()
        generation = self.registry.generation
        assert generation is not None
        for number in self.registry.assign(set(partitions), generation + 1):
            await self.opener.close(number)

    @property
    def tasks(self) -> dict[int, Task]:
        return self.registry.tasks

    async def stop(self) -> None:
        for task in self.built:
            await task.close()


class Context:
    """The part of a worker that its tasks use."""

    #: Set by the tests of the task manager.
    task_context: TaskContext
    generation = 1
    session_timeout = 10.0

    def __init__(self) -> None:
        self.reasons: list[BaseException] = []
        self.standbys: set[TP] = set()

    def is_standby(self, tp: TP) -> bool:
        return tp in self.standbys

    def give_up(self, exc: BaseException) -> None:
        self.reasons.append(exc)


class Seeker:
    """The part of the consumer that the task reviver uses."""

    def __init__(self, registry: TaskRegistry) -> None:
        self._registry = registry
        self.sought: dict[TP, int] = {}

    async def perform_seek(self) -> None:
        await self.seek_positions(self._registry.pending_seeks())

    async def seek_positions(self, positions: Mapping[TP, int]) -> None:
        self.sought |= positions
