"""The worker's tasks, behind the methods that Faust calls during a rebalance.

Replaces Faust's ``TransactionManager``, which has calls at the right times:

* ``suspend`` at the start of a rebalance: processed records are committed, no batches accepted
* ``on_rebalance`` with the new assignment: tasks of lost partitions are closed; if a claimed
  partition is lost, the worker drops all claims
* ``resume_open`` from recovery: tasks that stay are claimed again if necessary, and resume
* ``open_assigned`` after that: new tasks are opened

Other classes do the work: ``TaskRegistry`` keeps the tasks, ``TaskOpener`` opens and closes them,
``TaskReviver`` opens failed tasks again, ``Committer`` commits them.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from faust.transport.consumer import TransactionManager

from monitoring import metrics
from streaming.commit.committer import Committer
from streaming.commit.fencing import Fencing
from streaming.commit.purge import Purge
from streaming.kafka.io_loop import IoLoop
from streaming.restore.positions import Positions
from streaming.restore.restore import restore
from streaming.runtime.housekeeping import Housekeeping
from streaming.runtime.task_opener import TaskOpener
from streaming.runtime.task_reviver import TaskReviver
from streaming.tasks.lag import LagMeter
from streaming.tasks.registry import TaskRegistry
from streaming.tasks.shared_limits import SharedLimits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from faust.types import TP
    from mode.types import ServiceT

    from streaming.kafka.producer import TransactionalProducer
    from streaming.kafka.records import Batch
    from streaming.ports import WorkerContext
    from streaming.runtime.task_factory import TaskContext
    from streaming.tasks.task import Task


class TaskManager(TransactionManager):
    """All tasks of a worker, for Faust and the status."""

    parts: TaskContext

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Accept the arguments of Faust's transaction manager."""
        super().__init__(*args, **kwargs)
        self.parts = self.app.task_context
        self.registry = TaskRegistry()
        #: By partition number.
        self.tasks: Mapping[int, Task] = self.registry.tasks
        self.shared_limits = SharedLimits(self.tasks)
        self.lag = LagMeter()
        self.io_loop = IoLoop()
        self.limits = self.parts.limits()
        self.fencing = Fencing(
            self.parts.settings.app_id, self._connect, self.shared_limits.committing
        )
        self.committer = Committer(
            self.tasks, self.fencing, self.shared_limits, self._commit_failed
        )

    def _connect(self, transactional_id: str) -> TransactionalProducer:
        return self.parts.producer(transactional_id, self.io_loop, self.limits)

    def _commit_failed(self, exc: BaseException) -> None:
        self.reviver.commit_failed(exc)

    # -- the parts that need the consumer's thread, which is created after this

    @cached_property
    def _positions(self) -> Positions:
        return Positions(self.consumer._thread, self.sleep, self.fencing.writes_positions)

    @cached_property
    def opener(self) -> TaskOpener:
        """Opens and closes tasks."""
        return TaskOpener(
            self.registry,
            self.fencing,
            self._positions,
            [table.data for table in self.parts.tables.values()],
            build=lambda number: self.parts.build(number, self),
            refresh_limits=self.limits.refresh,
            restore=partial(restore, self.parts.client_settings),
        )

    @cached_property
    def reviver(self) -> TaskReviver:
        """Opens failed tasks again."""
        worker: WorkerContext = self.app
        return TaskReviver(
            self.registry,
            self.opener,
            self._positions,
            self.consumer,
            worker,
            self.limits.learn,
            loop=self.loop,
            beacon=self.beacon,
        )

    @cached_property
    def housekeeping(self) -> Housekeeping:
        """Checks the tasks periodically."""
        return Housekeeping(
            self.tasks,
            self._positions,
            self.lag,
            self.consumer._thread.log_end,
            self.parts.event_topics,
            Purge(self.parts.client_settings),
            {spec.name for spec in self.parts.topics if spec.purged},
            loop=self.loop,
            beacon=self.beacon,
        )

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """Start these with the manager."""
        return [self.reviver, self.housekeeping]

    # -- fetching

    @property
    def source_topic(self) -> str:
        """The input topic; all others are internal."""
        return self.parts.source_topic

    @property
    def assigned(self) -> AbstractSet[int]:
        """Partitions of this worker, open or not."""
        return self.registry.assigned

    def pending_seeks(self) -> Mapping[TP, int]:
        """Return the positions of tasks that were opened or resumed since the last call."""
        return self.registry.pending_seeks()

    def seek_again(self, tps: Iterable[TP]) -> None:
        """See :meth:`TaskRegistry.seek_again`."""
        self.registry.seek_again(tps)

    async def wait_for_room(self) -> None:
        """Wait while the tasks together have enough batches."""
        await self.shared_limits.wait_for_room()

    def submit(self, batches: Mapping[TP, Batch]) -> None:
        """Pass batches to their tasks; drop those without an open task.

        No record is lost, because uncommitted records are fetched again.
        """
        for tp, batch in batches.items():
            task = self.tasks.get(tp.partition)
            if task is not None:
                task.submit(tp, batch)

    # -- rebalances

    async def suspend(self) -> None:
        """Commit processed records, and accept no more batches."""
        self.registry.suspend()
        await self.committer.suspend()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Do nothing; the consumer has suspended the tasks."""

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP]
    ) -> None:
        """Close the tasks of lost partitions."""
        worker: WorkerContext = self.app
        mine = {
            tp.partition
            for tp in assigned
            if tp.topic == self.source_topic and not worker.is_standby(tp)
        }
        metrics.keep_partitions(mine)
        self.lag.keep(mine)
        for partition in self.registry.assign(mine, worker.generation):
            await self.opener.close(partition)
        if not self.fencing.partitions <= mine:
            # The next owners fence the producer that the offsets name.
            await self.fencing.retire()

    async def resume_open(self) -> None:
        """Resume the open tasks."""
        await self.opener.resume_suspended()

    def open_tps(self) -> set[TP]:
        """Return the partitions, of all topics, of running tasks."""
        return self.registry.open_tps()

    async def open_assigned(self) -> None:
        """Open tasks for assigned partitions without one."""
        await self.opener.open_assigned()

    # -- the host of tasks

    def lock_of(self, partition: int) -> TransactionalProducer:
        """Return the producer whose start locks ``partition``."""
        return self.fencing.lock_of(partition)

    def task_failed(self, task: Task, exc: BaseException) -> None:
        """Revive a failed task, or end the worker."""
        self.reviver.task_failed(task, exc)

    def refetch(self, task: Task, tp: TP) -> None:
        """Fetch again from the position of ``task``."""
        self.reviver.refetch(task, tp)

    # -- start and end

    async def on_start(self) -> None:
        """Start to commit periodically."""
        self.committer.start(self.parts.settings.commit_interval)

    async def on_stop(self) -> None:
        """Close all tasks."""
        await self.housekeeping.stop()
        await self.reviver.stop()
        for partition in list(self.tasks):
            with suppress(Exception):
                await self.opener.close(partition)
        await self.committer.stop()
        await self.fencing.retire()
        await self.io_loop.stop()
