"""The commit: the changes of all tasks of a worker, in one transaction.

Its steps, as in docs/fault-tolerance.md and the tests:

1. **prepare**: accumulated changes become changed rows and records (deltas, viral flags, table
   meta data); tasks of this worker exchange deltas (``streaming/commit/exchange.py``)
2. **freeze**: each task's overlay, outbox and their positions are set apart
3. **send**: changelog records, deltas, passed-on events, dead letters, viral changes
4. **offsets**: the positions, as the group's offsets, in the same transaction
5. **commit**: the transaction ends

Every few seconds each task, for all commits since its last flush:

6. **flush**: RocksDB receives the rows, and the changelog offset that they correspond to
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from monitoring import metrics
from streaming.commit.exchange import Exchange
from streaming.commit.pacing import IDLE_INTERVAL_S, CommitPace
from streaming.errors import FencedError, TransactionFailedError
from streaming.timing import CommitTimer
from streaming.waiting import set_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from streaming.commit.fencing import Fencing
    from streaming.kafka.producer import Transaction
    from streaming.kafka.records import OutRecord
    from streaming.tasks.shared_limits import SharedLimits
    from streaming.tasks.task import PreparedCommit, Task


class Committer:
    """Commits all tasks of a worker together, at regular intervals."""

    def __init__(
        self,
        tasks: Mapping[int, Task],
        fencing: Fencing,
        shared_limits: SharedLimits,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Commit nothing before :meth:`start`.

        Arguments:
            tasks: the worker's current tasks.
            fencing: has the producer of the transactions.
            shared_limits: shared by all tasks.
            on_failure: called once if a transaction fails; all uncommitted changes are void then.
        """
        self._tasks = tasks
        self._fencing = fencing
        self._shared_limits = shared_limits
        self._on_failure = on_failure
        #: Lets tasks exchange deltas.
        self.exchange = Exchange(tasks, fencing, shared_limits)
        self._loops: list[asyncio.Task[None]] = []

    def start(self, interval: float) -> None:
        """Commit every ``interval`` seconds from now on, unless already started."""
        if not self._loops:
            pace = CommitPace(interval)
            self._loops = [
                asyncio.create_task(self._commit_loop(pace), name="commit"),
                asyncio.create_task(self.exchange.run(pace), name="exchange"),
            ]

    async def stop(self) -> None:
        """Finish the current commit, and start no other."""
        loops, self._loops = self._loops, []
        if loops:
            async with self._shared_limits.committing:
                for loop in loops:
                    loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    @property
    def has_ended(self) -> bool:
        """Whether commits have stopped because of a fault in this program."""
        return any(loop.done() for loop in self._loops)

    async def _commit_loop(self, pace: CommitPace) -> None:
        limits = self._shared_limits
        last_begun, processed = perf_counter(), 0
        while True:
            if not processed:
                await set_within(limits.processed, IDLE_INTERVAL_S)
                last_begun = perf_counter()
            await set_within(limits.full, pace.pause_s)
            await set_within(limits.urgent, last_begun + pace.interval_s - perf_counter())
            for event in (limits.processed, limits.full, limits.urgent):
                event.clear()
            tasks = [task for task in self._tasks.values() if task.accepting]
            begun, behind = perf_counter(), sum(task.behind for task in tasks)
            processed = await self.commit(tasks)
            pace.committed(perf_counter() - begun, processed, begun - last_begun, behind)
            last_begun = begun

    async def commit(self, tasks: Iterable[Task]) -> int:
        """Commit the changes of ``tasks``; a failure goes to ``on_failure``.

        Returns:
            The number of committed records.
        """
        clock = CommitTimer()
        async with self._shared_limits.committing:
            entered = perf_counter()
            try:
                # 1. prepare, 2. freeze
                frozen = self._freeze(tasks)
                if not frozen:
                    return 0
                clock.done("wait", entered)
                clock.done("prepare")
                # 3. send, 4. offsets, 5. commit
                await self._commit(frozen, clock)
            except Exception as exc:  # noqa: BLE001 - any failure invalidates the overlays
                outcome = "fenced" if isinstance(exc, FencedError) else "aborted"
                metrics.transactions.labels(outcome).inc()
                self._on_failure(exc)
                self.exchange.release()
                await self._fencing.retire()
                return 0
            metrics.transactions.labels("committed").inc()
            # Commits wait for a disk that cannot keep up.
            await asyncio.gather(*(part.task.flush_early() for part in frozen))
            clock.done("stall")
            return sum(part.records_processed for part in frozen)

    async def suspend(self) -> None:
        """Suspend all tasks, then commit and flush their changes."""
        tasks = list(self._tasks.values())
        # A task that is already suspended does not commit; its databases may be closed at the end.
        going = [task for task in tasks if task.accepting]
        await asyncio.gather(*(task.suspend() for task in tasks))
        await self.commit(going)
        await asyncio.gather(*(task.flush() for task in going))

    def _freeze(self, tasks: Iterable[Task]) -> list[PreparedCommit]:
        """Prepare and freeze ``tasks`` without awaiting, so that no records are processed between.

        Raises:
            TransactionFailedError: a task failed after an exchange that other tasks rely on.
        """
        tasks = self.exchange.with_bound(tasks)
        for task in tasks:
            if not self._fencing.holds(task.claimed_for):
                task.fail(TransactionFailedError("this worker's claim to the partition is lost"))
        prepared = self.exchange.prepare(tasks)
        frozen = [part for task in prepared if (part := task.freeze()) is not None]
        if any(task.ended for task in self.exchange.release()):
            raise TransactionFailedError("a partition failed after it exchanged sums with others")
        return frozen

    async def _commit(self, frozen: Sequence[PreparedCommit], clock: CommitTimer) -> None:
        producer = self._fencing.producer
        assert producer is not None, "claimed for nobody"  # noqa: S101 - a bug here
        offsets = {tp: at for part in frozen for tp, at in part.offsets.items()}

        async def transact() -> list[int]:
            """Run beside processing; read nothing that processing changes."""
            async with producer.transaction() as transaction:
                # 3. send
                last_offsets = await _send(transaction, frozen)
                await transaction.delivered()
                clock.done("send")

                # 4. offsets: not beside 3, because the broker refuses to verify one partition
                # while it writes another
                if offsets:
                    transaction.send_offsets(offsets, producer.transactional_id)
                    await transaction.delivered()
                clock.done("offsets")
            # 5. commit: at the end of the block
            clock.done("commit")
            return [await each for each in last_offsets]

        last_offsets = iter(await producer.run(transact()))
        for part in frozen:
            part.task.post_commit(part, [next(last_offsets) for _ in part.changes])


async def _send(
    transaction: Transaction, frozen: Sequence[PreparedCommit]
) -> list[asyncio.Future[int]]:
    """Send the frozen records, and return the changelogs' future last offsets, in order.

    All partitions are sent at once, because a request has one batch per partition. Records of
    several tasks for one partition are sent together.
    """
    records: dict[tuple[str, int], list[OutRecord]] = {}
    for part in frozen:
        for to, sent in part.records.items():
            records.setdefault(to, []).extend(sent)
    last_offsets, _ = await asyncio.gather(
        asyncio.gather(
            *(
                transaction.send_values(each.changelog_topic, part.task.partition, changes)
                for part in frozen
                for each, changes in part.changes
            )
        ),
        asyncio.gather(*(transaction.send_records(*to, sent) for to, sent in records.items())),
    )
    return list(last_offsets)
