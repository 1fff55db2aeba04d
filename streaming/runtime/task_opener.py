"""Opening, resuming and closing of tasks.

The steps of opening (``commit/fencing.py``): lock, fence, restore, find positions, claim.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from streaming.errors import TransactionFailedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

    from faust.types import TP

    from streaming.commit.fencing import Fencing
    from streaming.restore.changelog import ChangelogSink
    from streaming.tasks.registry import TaskRegistry
    from streaming.tasks.task import Task
    from tables.layers import Layer
    from tables.layout import Position, TablePositions
    from tables.state import PartitionState


class StartPositions(Protocol):
    """Provides the positions from which tasks continue."""

    async def claimants(self, tps: list[TP], /) -> Mapping[TP, str]:
        """Return the workers named in the metadata of the group's offsets."""

    async def starts(self, tables: Mapping[TP, TablePositions], /) -> Mapping[TP, Position]:
        """Return the start position in each source partition."""


class Databases(Protocol):
    """The databases of one table."""

    partitions: Mapping[int, PartitionState]

    async def close(self, partition: int, /) -> None:
        """Close the database of ``partition``, if it is open."""


class TaskOpener:
    """Opens tasks of a worker together, with one restore and one position lookup for all."""

    def __init__(
        self,
        registry: TaskRegistry,
        fencing: Fencing,
        positions: StartPositions,
        databases: Sequence[Databases],
        build: Callable[[int], Awaitable[Task]],
        refresh_limits: Callable[[], Awaitable[None]],
        restore: Callable[[Mapping[TP, ChangelogSink]], Awaitable[object]],
    ) -> None:
        """Open nothing yet.

        Arguments:
            registry: the worker's open tasks.
            fencing: the worker's producer and claims.
            positions: the positions from which tasks continue.
            databases: the databases of each table, closed with their task.
            build: creates a partition's task, with open databases.
            refresh_limits: reads the limits of topics.
            restore: brings tables to the end of their changelogs.
        """
        self._registry = registry
        self._fencing = fencing
        self._positions = positions
        self._databases = databases
        self._build = build
        self._refresh_limits = refresh_limits
        self._restore = restore
        self._opening = asyncio.Lock()

    async def resume_suspended(self) -> None:
        """Resume open tasks after a rebalance."""
        async with self._opening:
            generation = self._registry.generation
            suspended = self._registry.suspended
            # A later owner fences only the producer of the newest claim.
            await self._fencing.fence(self._given_up_claims(suspended))
            await asyncio.gather(*(self._claim_again(task) for task in suspended))
            if self._registry.is_outdated(generation):
                return
            for task in suspended:
                if self._fencing.holds(task.claimed_for) and not task.failed:
                    task.start(task.positions)

    async def open_assigned(self) -> None:
        """Open tasks for assigned partitions without one."""
        async with self._opening:
            await self._open(self._registry.missing)

    async def reopen(self, partitions: Collection[int]) -> None:
        """Close tasks, and open new ones in their place.

        Raises:
            Exception: a task cannot be opened; then none of them is open.
        """
        async with self._opening:
            for partition in partitions:
                await self.close(partition)
            await self._open(partitions)

    async def close(self, partition: int) -> None:
        """Close a task, if it exists, and its databases."""
        task = self._registry.remove(partition)
        if task is not None:
            await task.close()
            for databases in self._databases:
                await databases.close(partition)

    async def _open(self, partitions: Iterable[int]) -> None:
        """Take all steps; if one fails, no task is open.

        Only when a partition is locked and fenced have all transactions of its earlier owners,
        including this worker, ended. Only then are its changelog and the group's offsets final.
        """
        generation = self._registry.generation
        built = await asyncio.gather(*(self._build(number) for number in partitions))
        if not built:
            return
        try:
            positions = await self._prepare(built, generation)
        except BaseException:
            await self._close_all(built)
            await self._close_damaged()
            raise
        if self._registry.is_outdated(generation):
            await self._close_all(built)
            return
        if not all(self._fencing.holds(task.claimed_for) for task in built):
            await self._close_all(built)
            raise TransactionFailedError("the claims of the partitions were lost meanwhile")
        for task in built:
            task.start({tp: positions[tp] for tp in task.sources})
            self._registry.add(task)

    async def _prepare(self, built: Sequence[Task], generation: int | None) -> dict[TP, int]:
        """Lock, fence, restore and claim, and return the tasks' positions.

        A coordinator that just took over the group may return older offsets, which name an older
        claimant, until it has written a record itself. So the lock writes an offset and aborts it.
        """
        for task in built:
            task.begin_restoring()
        await asyncio.gather(self._refresh_limits(), *(task.lock.start() for task in built))
        await asyncio.gather(*(task.lock.last_ended(min(task.sources)) for task in built))
        tps = [tp for task in built for tp in task.sources]
        await self._fencing.fence(await self._positions.claimants(tps))
        sinks = {tp: sink for task in built for tp, sink in task.tables.sinks().items()}
        await self._restore(sinks)
        if self._registry.is_outdated(generation):
            return {}
        positions = await self._restored_positions(built)
        await asyncio.gather(*(self._claim_first(task, positions) for task in built))
        return positions

    async def _restored_positions(self, built: Iterable[Task]) -> dict[TP, int]:
        """Reset tasks to their restored tables, and return their positions."""
        for task in built:
            task.reset_to_committed()
        stored = {tp: at for task in built for tp, at in task.tables.stored_positions().items()}
        starts = await self._positions.starts(stored)
        for task in built:
            task.tables.topic_ids = {tp.topic: starts[tp].topic_id for tp in task.sources}
        return {tp: start.offset for tp, start in starts.items()}

    def _given_up_claims(self, tasks: Iterable[Task]) -> dict[TP, str]:
        return {
            tp: name
            for task in tasks
            if (name := task.claimed_for) is not None and not self._fencing.holds(name)
            for tp in task.positions
        }

    async def _claim_again(self, task: Task) -> None:
        if not self._fencing.holds(task.claimed_for):
            try:
                await self._claim(task, task.committed, {})
            except TransactionFailedError as exc:
                task.fail(exc)

    async def _claim_first(self, task: Task, positions: Mapping[TP, int]) -> None:
        mine = {tp: positions[tp] for tp in task.sources}
        await self._claim(task, mine, task.tables.layouts(mine))

    async def _claim(
        self, task: Task, positions: Mapping[TP, int], layouts: Mapping[str, Layer]
    ) -> None:
        claim = await self._fencing.claim(task.partition, task.lock, positions, layouts)
        task.tables.post_commit_layouts(claim.offsets)
        task.claimed_for = claim.name

    async def _close_all(self, built: Iterable[Task]) -> None:
        """Close tasks that were not opened; databases stay open for the next attempt."""
        await asyncio.gather(*(task.close() for task in built))

    async def _close_damaged(self) -> None:
        """Close damaged databases, so that the next attempt finds empty ones."""
        for databases in self._databases:
            for partition, state in list(databases.partitions.items()):
                if state.store.damage is not None and partition not in self._registry.tasks:
                    await databases.close(partition)
