"""What Faust calls as partitions come and go: it finds the tasks of the worker here.

Takes the place of Faust's ``TransactionManager``, so Faust calls it at the right moments:

* ``suspend`` before a rebalance ends anything: what is folded is committed, nothing more accepted
* ``on_rebalance`` with the new assignment: tasks of lost partitions are closed, and with one of
  them the worker's claims are given up
* ``resume_open`` from recovery: tasks that stay are claimed for again if need be, and go on
* ``open_assigned`` then: new tasks are opened beside them

The work is done by others: ``TaskRegistry`` knows which tasks there are, ``TaskOpener`` opens and
closes them, ``TaskReviver`` opens those again that have failed, ``Committer`` commits them.
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
    """All tasks of a worker, as Faust and the views see them."""

    parts: TaskContext

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what Faust gives its transaction manager."""
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

    # -- the parts that ask the consumer's thread, which is made after this

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
        """Looks at the tasks now and then."""
        return Housekeeping(
            self.tasks,
            self._positions,
            self.lag,
            self.consumer._thread.log_end,
            self.parts.event_topics,
            Purge(self.parts.client_settings),
            self.parts.settings.repartition_topic,
            loop=self.loop,
            beacon=self.beacon,
        )

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """Start these with the manager."""
        return [self.reviver, self.housekeeping]

    # -- fetching

    @property
    def source_topic(self) -> str:
        """The topic that events come from; all others are internal."""
        return self.parts.source_topic

    @property
    def assigned(self) -> AbstractSet[int]:
        """Partitions of this worker, open or not."""
        return self.registry.assigned

    def pending_seeks(self) -> Mapping[TP, int]:
        """Return where the tasks stand that have opened or resumed since this was last asked."""
        return self.registry.pending_seeks()

    async def wait_for_room(self) -> None:
        """Wait while there is enough to fold for every task."""
        await self.shared_limits.wait_for_room()

    def submit(self, batches: Mapping[TP, Batch]) -> None:
        """Hand batches to their tasks; one for a partition that is not open is dropped.

        Nothing is lost by that: what is not committed is fetched again.
        """
        for tp, batch in batches.items():
            task = self.tasks.get(tp.partition)
            if task is not None:
                task.submit(tp, batch)

    # -- rebalances

    async def suspend(self) -> None:
        """Commit what is folded, and accept nothing more."""
        self.registry.suspend()
        await self.committer.suspend()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Have nothing left to do: the consumer has suspended the tasks."""

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP]
    ) -> None:
        """Close the tasks of partitions that are here no more."""
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
            # Their next owners will fence whom they were claimed for.
            await self.fencing.retire()

    async def resume_open(self) -> None:
        """Let the tasks that are open go on."""
        await self.opener.resume_suspended()

    def open_tps(self) -> set[TP]:
        """Return the partitions of all topics whose tasks are at work."""
        return self.registry.open_tps()

    async def open_assigned(self) -> None:
        """Open what is assigned and not open."""
        await self.opener.open_assigned()

    # -- as the host of tasks

    def lock_of(self, partition: int) -> TransactionalProducer:
        """Return the producer whose start locks ``partition``."""
        return self.fencing.lock_of(partition)

    def task_failed(self, task: Task, exc: BaseException) -> None:
        """Give a failed task up."""
        self.reviver.task_failed(task, exc)

    def position_missed(self, task: Task, tp: TP) -> None:
        """Fetch again from where ``task`` stands."""
        self.reviver.position_missed(task, tp)

    # -- start and end

    async def on_start(self) -> None:
        """Commit from now on, whatever opens."""
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
