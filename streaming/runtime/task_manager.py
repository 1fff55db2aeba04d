"""The tasks of a worker: opened as partitions are assigned, suspended at every rebalance.

Takes the place of Faust's ``TransactionManager``, so Faust calls it at the right moments:

* ``suspend`` before a rebalance ends anything: what is folded is committed, nothing more accepted
* ``on_rebalance`` with the new assignment: tasks of lost partitions are closed, and with one of
  them the worker's claims are given up
* ``resume_open`` from recovery: tasks that stay are claimed for again if need be, and go on
* ``open_assigned`` then: new tasks are opened beside them
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any

from faust.transport.consumer import TransactionManager
from faust.types import TP

from models.errors import CodecError
from monitoring import metrics
from streaming.commit.committer import Committer
from streaming.commit.fencing import Fencing
from streaming.commit.pacing import LAST_RETRY, Retries
from streaming.errors import (
    ChangelogError,
    ConfigurationError,
    FencedError,
    PositionError,
    RefusedError,
    TransactionFailedError,
)
from streaming.kafka.io_loop import IoLoop
from streaming.kafka.producer import stop_quietly
from streaming.restore.positions import Positions
from streaming.restore.restore import restore
from streaming.runtime.housekeeping import Housekeeping
from streaming.tasks.lag import LagMeter
from streaming.tasks.shared_limits import SharedLimits
from tables.rocks import StoreCorruptError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from streaming.kafka.producer import TransactionalProducer
    from streaming.kafka.records import Batch
    from streaming.runtime.app import App
    from streaming.runtime.task_factory import TaskContext
    from streaming.tasks.task import Task
    from tables.layers import Layer

log = logging.getLogger(__name__)

#: What opening a task again does not change.
FOR_GOOD = (ChangelogError, ConfigurationError, PositionError)


class TaskManager(TransactionManager):
    """All tasks of a worker, by partition number."""

    app: App
    parts: TaskContext

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what Faust gives its transaction manager."""
        super().__init__(*args, **kwargs)
        self.parts = self.app.task_context
        self.tasks: dict[int, Task] = {}
        self.shared_limits = SharedLimits(self.tasks)
        self.lag = LagMeter()
        self.io_loop = IoLoop()
        self.limits = self.parts.limits()
        self.fencing = Fencing(
            self.parts.settings.app_id, self._connect, self.shared_limits.committing
        )
        self.committer = Committer(self.tasks, self.fencing, self.shared_limits, self.commit_failed)
        self.assigned: set[int] = set()
        self._generation: int | None = None
        self._suspended = False
        #: Whether any task has been opened here.
        self.has_read = False
        #: Partitions whose positions the consumer was told since the last rebalance.
        self._sought: set[int] = set()
        self._seeking: set[TP] = set()
        self._reopening: set[int] = set()
        self._retries = Retries()
        self._opening = asyncio.Lock()
        self._housekeeping = self.add_dependency(
            Housekeeping(self, loop=self.loop, beacon=self.beacon)
        )

    def _connect(self, transactional_id: str) -> TransactionalProducer:
        return self.parts.producer(transactional_id, self.io_loop, self.limits)

    @cached_property
    def positions(self) -> Positions:
        """Where tasks go on."""
        return Positions(self.consumer._thread, self.sleep, self.fencing.writes_positions)

    @property
    def source_topic(self) -> str:
        """The topic that events come from; all others are internal."""
        return self.parts.source_topic

    def pending_seeks(self) -> dict[TP, int]:
        """Return where the tasks stand that have opened or resumed since this was last asked."""
        tasks = [
            task
            for number, task in self.tasks.items()
            if task.accepting and number not in self._sought
        ]
        self._sought.update(task.partition for task in tasks)
        return {tp: at for task in tasks for tp, at in task.positions.items()}

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
        self._suspended = True
        for task in self.tasks.values():
            self._set_readable(task, readable=False)
        await self.committer.suspend()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Have nothing left to do: the consumer has suspended the tasks."""

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP]
    ) -> None:
        """Close the tasks of partitions that are here no more."""
        assignor = self.app.assignor
        self.assigned = {
            tp.partition
            for tp in assigned
            if tp.topic == self.source_topic and not assignor.is_standby(tp)
        }
        metrics.keep_partitions(self.assigned)
        self.lag.keep(self.assigned)
        generation = self.app.consumer_generation_id
        missed = self._generation is not None and generation != self._generation + 1
        self._generation = generation
        self._suspended = False
        self._sought.clear()
        for partition, task in list(self.tasks.items()):
            # Missing a generation means that others may have had the partition meanwhile.
            if partition not in self.assigned or task.failed or missed:
                await self._close(partition)
        if not self.fencing.partitions <= self.assigned:
            # Their next owners will fence whom they were claimed for.
            await self.fencing.retire()

    async def _close(self, partition: int) -> None:
        task = self.tasks.pop(partition, None)
        if task is None:
            return
        self._set_readable(task, readable=False)
        await task.close()
        for table in self.parts.tables.values():
            await table.data.close(partition)

    def _set_readable(self, task: Task, *, readable: bool) -> None:
        for processor in task.processors:
            processor.state.readable = readable

    # -- opening

    async def resume_open(self) -> None:
        """Let the tasks that are open go on."""
        async with self._opening:
            generation = self._generation
            resting = [t for t in self.tasks.values() if not t.accepting and not t.failed]
            # Whoever has one of them next fences only whom they are claimed for then.
            await self.fencing.fence(self._given_up_claims(resting))
            await asyncio.gather(*(self._claim_again(task) for task in resting))
            if self._is_outdated(generation):
                return
            for task in resting:
                if self.fencing.holds(task.claimed_for) and not task.failed:
                    self._start(task, task.positions)

    def _is_outdated(self, generation: int | None) -> bool:
        """Whether a rebalance has begun since, with its own idea of what is to be open here."""
        return self._suspended or generation != self._generation

    def open_tps(self) -> set[TP]:
        """Return the partitions of all topics whose tasks are at work."""
        return {tp for task in self.tasks.values() if task.accepting for tp in task.positions}

    def _given_up_claims(self, tasks: Iterable[Task]) -> dict[TP, str]:
        return {
            tp: name
            for task in tasks
            if (name := task.claimed_for) is not None and not self.fencing.holds(name)
            for tp in task.positions
        }

    async def _claim_again(self, task: Task) -> None:
        if not self.fencing.holds(task.claimed_for):
            try:
                await self._claim(task, task.committed, {})
            except TransactionFailedError as exc:
                task.fail(exc)

    async def _claim_first(self, task: Task, positions: Mapping[TP, int]) -> None:
        mine = {tp: positions[tp] for tp in task.sources}
        await self._claim(task, mine, task.layouts(mine))

    async def _claim(
        self, task: Task, positions: Mapping[TP, int], layouts: Mapping[str, Layer]
    ) -> None:
        claim = await self.fencing.claim(task.partition, task.lock, positions, layouts)
        task.post_commit_layouts(claim.offsets)
        task.claimed_for = claim.name

    async def open_assigned(self) -> None:
        """Open what is assigned and not open."""
        async with self._opening:
            await self._open(self.assigned - self.tasks.keys())

    def _start(self, task: Task, positions: dict[TP, int]) -> None:
        task.start(positions)
        self.committer.start(self.parts.settings.commit_interval)
        self._set_readable(task, readable=True)

    async def _open(self, partitions: Iterable[int]) -> None:
        """Open tasks: lock, fence, restore, find positions, claim (``commit/fencing.py``).

        Only then is every transaction of the earlier owners, ourselves included, at its end, and so
        the changelog complete and the group's offsets what they will stay.
        """
        generation = self._generation
        built = await asyncio.gather(*(self.parts.build(number, self) for number in partitions))
        if not built:
            return
        opening = {task.partition: task for task in built}
        tps = [tp for task in built for tp in task.sources]
        positions: dict[TP, int] = {}
        try:
            await asyncio.gather(self.limits.refresh(), *(task.lock.start() for task in built))
            await self.fencing.fence(await self.positions.claimants(tps))
            await restore(
                self.parts.client_settings,
                {
                    TP(processor.changelog_topic, partition): processor.state
                    for partition, task in opening.items()
                    for processor in task.processors
                },
            )
            if not self._is_outdated(generation):
                positions = await self._restored(built)
                await asyncio.gather(*(self._claim_first(task, positions) for task in built))
        except BaseException:
            await self._unlock(built)
            await self._close_damaged()
            raise
        if self._is_outdated(generation):
            await self._unlock(built)
            return
        if not all(self.fencing.holds(task.claimed_for) for task in built):
            await self._unlock(built)
            raise TransactionFailedError("what was claimed for them has failed meanwhile")
        for partition, task in opening.items():
            self.tasks[partition] = task
            self.has_read = True
            self._start(task, {tp: positions[tp] for tp in task.sources})

    async def _restored(self, built: Iterable[Task]) -> dict[TP, int]:
        """Have tasks begin with what their tables hold, and return where they go on."""
        for task in built:
            task.reset_to_committed()
        tables = {tp: table for task in built for tp, table in task.tables().items()}
        starts = await self.positions.starts(tables)
        for task in built:
            task.topic_ids = {tp.topic: starts[tp].topic_id for tp in task.sources}
        return {tp: start.offset for tp, start in starts.items()}

    async def _close_damaged(self) -> None:
        """Let the next opening find an empty database where this one found a damaged one."""
        for table in self.parts.tables.values():
            for partition, state in list(table.data.partitions.items()):
                if state.store.damage is not None and partition not in self.tasks:
                    await table.data.close(partition)

    async def _unlock(self, tasks: Iterable[Task]) -> None:
        await asyncio.gather(*(stop_quietly(task.lock.stop()) for task in tasks))

    # -- failures

    def task_failed(self, task: Task, exc: BaseException) -> None:
        """Give a failed task up, and open it again while the partition is still ours."""
        self._give_up([task], exc)

    def commit_failed(self, exc: BaseException) -> None:
        """Give all tasks up: nothing more is claimed for any of them."""
        tasks = [task for task in self.tasks.values() if not task.failed]
        for task in tasks:
            task.mark_failed()
        self._give_up(tasks, exc)

    def _give_up(self, tasks: Collection[Task], exc: BaseException) -> None:
        """Open tasks that have failed again.

        That mends a broken transaction, and a damaged database. Anything else (a full disk, a
        fault in this program) would only happen again: the worker ends.
        """
        for task in tasks:
            self._set_readable(task, readable=False)
        name = _name(task.partition for task in tasks)
        if isinstance(exc, ConfigurationError):
            self.app.give_up(exc)
            return
        if not isinstance(exc, TransactionFailedError | StoreCorruptError):
            # A value that cannot be decoded is no fault of the code that says it.
            log.error(
                "%s cannot go on", name, exc_info=None if isinstance(exc, CodecError) else exc
            )
            self.app.give_up(exc)
            return
        if isinstance(exc, FencedError):
            log.warning("%s: taken over by another worker: %s", name, exc)
        elif isinstance(exc, StoreCorruptError):
            log.error("%s: set aside, to be built anew: %s", name, exc)
        else:
            log.error("%s: what is not committed is dropped, to be folded again: %s", name, exc)
        failed = {t.partition: t for t in tasks if t.partition not in self._reopening}
        if failed:
            self._reopening |= failed.keys()
            self.add_future(self._reopen(failed, exc))

    async def _reopen(self, failed: Mapping[int, Task], reason: BaseException) -> None:
        generation = self._generation
        try:
            # Whoever was away for long learns from the group first that all has changed: a
            # partition that now is another's may not be taken back.
            patience = self.app.conf.broker_session_timeout
            fenced = isinstance(reason, FencedError)
            delay = patience if fenced else self._retries.next_pause(monotonic())
            if isinstance(reason, RefusedError):
                await self.limits.learn(reason.refusal)
            while not self.should_stop:
                await self.sleep(delay)
                mine = {p for p, task in failed.items() if self.tasks.get(p, task) is task}
                if not mine or self._is_outdated(generation):
                    return
                try:
                    async with self._opening:
                        for partition in mine:
                            await self._close(partition)
                        await self._open(mine)
                except FOR_GOOD:
                    raise
                except Exception as exc:  # noqa: BLE001 - tried again until it is not ours
                    is_fenced = isinstance(exc, FencedError)
                    delay = patience if is_fenced else min(2 * delay, LAST_RETRY)
                    log.warning("%s cannot be opened: %r; again in %.1f s", _name(mine), exc, delay)
                else:
                    reopened = [self.tasks[p] for p in mine if p in self.tasks]
                    await self.consumer.seek_positions(
                        {tp: at for task in reopened for tp, at in task.positions.items()}
                    )
                    return
        except FOR_GOOD as exc:
            self.app.give_up(exc)
        finally:
            self._reopening -= failed.keys()

    def position_missed(self, task: Task, tp: TP) -> None:
        """Fetch again from where ``task`` stands: what came does not follow."""
        if tp not in self._seeking:
            self._seeking.add(tp)
            self.add_future(self._seek_again(task, tp))

    async def _seek_again(self, task: Task, tp: TP) -> None:
        try:
            await self.sleep(0.1)
            if task.accepting and self.tasks.get(task.partition) is task:
                await task.pass_over(tp, await self.positions.first_kept(tp, task.positions[tp]))
                await self.consumer.seek_positions({tp: task.positions[tp]})
        finally:
            self._seeking.discard(tp)

    # -- the end

    async def on_stop(self) -> None:
        """Close all tasks."""
        await self._housekeeping.stop()
        for partition in list(self.tasks):
            with suppress(Exception):
                await self._close(partition)
        await self.committer.stop()
        await self.fencing.retire()
        await self.io_loop.stop()


def _name(partitions: Iterable[int]) -> str:
    """Return partitions as a message names them."""
    numbers = sorted(partitions)
    return f"partition{'s' * (len(numbers) != 1)} {', '.join(map(str, numbers))}"
