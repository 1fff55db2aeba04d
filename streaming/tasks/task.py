"""A task: one partition number, processed and committed as a unit.

The co-partitioned topics (events, passed-on events, and sums for other tables) share one task per
partition number. Its changes are committed together with those of the worker's other tasks
(``streaming/commit/committer.py``), if the partition is claimed for this worker
(``streaming/commit/fencing.py``).
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from monitoring import metrics
from streaming.kafka.stopping import stop_quietly
from streaming.tasks.flusher import Flusher
from streaming.tasks.inbox import Inbox
from streaming.tasks.memory_budget import MemoryBudget
from streaming.tasks.task_state import ENDED, TaskState
from streaming.tasks.task_tables import TaskTables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from faust.types import TP

    from streaming.kafka.producer import TransactionalProducer
    from streaming.kafka.records import Batch, OutRecord
    from streaming.tasks.outbox import Outbox
    from streaming.tasks.processor import Processor
    from streaming.tasks.shared_limits import SharedLimits
    from tables.layers import Layer

log = logging.getLogger(__name__)

#: Records processed in one step: about one fetch of a partition with a backlog. A larger multi-get
#: costs less per key; this one blocks the event loop for about ten milliseconds.
RECORDS_PER_CHUNK = 4000


class PreparedCommit(NamedTuple):
    """A task's part of a commit."""

    task: Task
    changes: Sequence[tuple[Processor, Layer]]
    """Changed rows, by changelog."""
    records: Mapping[tuple[str, int], Sequence[OutRecord]]
    """Other records, by topic and partition."""
    offsets: Mapping[TP, int]
    """New positions in the source topics."""
    records_processed: int


class Task:
    """One partition number; :class:`TaskState` has a diagram of its states."""

    def __init__(
        self,
        partition: int,
        processors: Sequence[Processor],
        outbox: Outbox,
        lock: TransactionalProducer,
        on_failure: Callable[[Task, BaseException], None],
        refetch: Callable[[Task, TP], None],
        shared_limits: SharedLimits,
    ) -> None:
        """Create the task without opening it.

        Arguments:
            partition: the partition number of all its topics.
            processors: one per table, highest priority first; they send through ``outbox``.
            outbox: records of the next transaction, apart from changelogs.
            lock: the producer of the partition's lock, started when the task is opened.
            on_failure: called once if processing or flushing fails.
            refetch: called if a batch does not follow the position and must be fetched again.
            shared_limits: shared by all tasks of the worker.
        """
        self.partition = partition
        self.tables = TaskTables(partition, processors)
        self.sources = self.tables.sources
        self.outbox = outbox
        self.lock = lock
        #: The name of the worker's producer that the partition is claimed for.
        self.claimed_for: str | None = None
        self._state = TaskState.CREATED
        self._on_failure = on_failure
        self._refetch = refetch
        self._shared_limits = shared_limits
        self._budget = MemoryBudget(self.tables.states, outbox, shared_limits)
        self._flusher = Flusher(partition, self.tables.states, self._budget, self.fail)
        #: Writes committed rows to RocksDB.
        self.flush, self.flush_early = self._flusher.flush, self._flusher.flush_early
        self.positions: dict[TP, int] = {}
        self.committed: dict[TP, int] = {}
        #: By topic, in ms: record timestamps of the last applied record, and of the oldest record
        #: of the batch in process.
        self.applied_timestamps: dict[TP, int] = {}
        self.pending_timestamps: dict[TP, int] = {}
        #: By the monotonic clock: the start of the current batch, None without one, and the last
        #: time at which everything was committed.
        self.busy_since: float | None = None
        self.committed_at = monotonic()
        #: Whether there are prepared changes for the next commit.
        self._is_due = False
        self._batch_records = {tp: metrics.batch_records.labels(tp.topic) for tp in self.sources}
        self._inbox = Inbox(self.sources, shared_limits)
        self._processing = asyncio.Lock()
        self._loops: list[asyncio.Task[None]] = []

    @property
    def state(self) -> TaskState:
        """The task's state."""
        return self._state

    @property
    def accepting(self) -> bool:
        """Whether the task accepts batches and is committed."""
        return self._state is TaskState.RUNNING

    @property
    def failed(self) -> bool:
        """Whether the task has failed, so that uncommitted changes are void."""
        return self._state is TaskState.FAILED

    @property
    def ended(self) -> bool:
        """Whether the task has failed or is closed, so that it commits nothing more."""
        return self._state in ENDED

    def _enter(self, state: TaskState) -> None:
        self._state = self._state.then(state)
        # Other workers may have newer values of a partition that moves or recovers.
        self.tables.set_readable(readable=state is TaskState.RUNNING)

    def begin_restoring(self) -> None:
        """Enter RESTORING; the opener locks, restores and claims the partition."""
        self._enter(TaskState.RESTORING)

    def start(self, positions: Mapping[TP, int]) -> None:
        """Accept batches from ``positions`` on, after restoring or a rebalance."""
        self._enter(TaskState.RUNNING)
        self.positions = dict(positions)
        self.committed = dict(positions)
        self.committed_at = monotonic()
        if not self._loops:
            self._loops = [
                asyncio.create_task(self._process_loop(), name=f"process-{self.partition}"),
                asyncio.create_task(self._flusher.run(), name=f"flush-{self.partition}"),
            ]

    def reset_to_committed(self) -> None:
        """Return to the committed state."""
        self.outbox.take()
        self.tables.reset_to_committed()

    def submit(self, tp: TP, batch: Batch) -> None:
        """Queue a batch, unless the task is suspended."""
        if self.accepting:
            self._inbox.put(tp, batch)

    async def pass_over(self, tp: TP, end: int) -> None:
        """Continue at ``end``, because earlier records are gone; never move backwards.

        Records that arrived while ``end`` was requested may be processed already.
        """
        async with self._processing:
            self.positions[tp] = max(self.positions[tp], end)

    async def _process_loop(self) -> None:
        while True:
            tp, batch = await self._inbox.next()
            self.busy_since = monotonic()
            try:
                async with self._processing:
                    await self._process(tp, batch)
            except Exception as exc:  # noqa: BLE001 - any error stops the partition
                self.fail(exc)
            finally:
                self.busy_since = None
                self.pending_timestamps.pop(tp, None)

    async def _process(self, tp: TP, batch: Batch) -> None:
        position = self.positions[tp]
        if not self.accepting or batch.end <= position:
            return
        if batch.start > position:
            # Fetched before a seek: the records in between are fetched again.
            log.debug("%s: skipping a batch at %s, expecting %s", tp, batch.start, position)
            self._refetch(self, tp)
            return
        processor = self.sources[tp]
        records = batch.records
        if records and records[0].offset < position:
            records = [record for record in records if record.offset >= position]
        self._batch_records[tp].observe(len(records))
        for first in range(0, len(records), RECORDS_PER_CHUNK):
            chunk = records[first : first + RECORDS_PER_CHUNK]
            self.pending_timestamps[tp] = chunk[0].timestamp
            async with self._shared_limits.processing:
                await processor.process(chunk, tp.topic, self.positions)
            self.positions[tp] = chunk[-1].offset + 1
            self.applied_timestamps[tp] = chunk[-1].timestamp
            self._shared_limits.processed.set()
            await self._leave_room()
            if not self.accepting:
                return
        self.positions[tp] = batch.end
        self._shared_limits.processed.set()

    async def _leave_room(self) -> None:
        """Request a commit of a large overlay, and wait while a commit runs."""
        if not self._budget.is_full:
            await asyncio.sleep(0)
            return
        self.busy_since = None
        await self._shared_limits.commit_early()
        self.busy_since = monotonic()

    def _has_work(self) -> bool:
        return (
            self._is_due
            or self.positions != self.committed
            or bool(self.outbox)
            or self.tables.has_pending
        )

    def prepare(self) -> bool:
        """Step 1 of a commit, and before it: turn accumulated changes into rows and records.

        Returns:
            Whether the task still runs, and so takes part in the commit.
        """
        if self.ended:
            return False
        self._is_due = self._has_work()
        if not self._is_due:
            return True
        try:
            self.tables.prepare()
        except Exception as exc:  # noqa: BLE001 - any error stops the partition
            self.fail(exc)
            return False
        return True

    def take_over(self, tp: TP, values: Sequence[bytes | None]) -> bool:
        """Process values that tasks of the same commit would send to ``tp``.

        Returns:
            Whether it did. If so, they are not sent, and all these tasks commit or none does.
        """
        if (processor := self.sources.get(tp)) is None:
            return False
        try:
            has_taken = processor.take_over(tp.topic, values)
        except Exception as exc:  # noqa: BLE001 - any error stops the partition
            self.fail(exc)
            return False
        self._is_due |= has_taken
        return has_taken

    def freeze(self) -> PreparedCommit | None:
        """Step 2 of a commit: set apart the processed changes, None if there are none."""
        if self.ended:
            return None
        if not self._is_due:
            self.committed_at = monotonic()
            return None
        self._is_due = False
        self._budget.evict()
        try:
            changes = self.tables.freeze(self.positions)
        except Exception as exc:  # noqa: BLE001 - any error stops the partition
            self.fail(exc)
            return None
        committed = self.committed
        offsets = {tp: at for tp, at in self.positions.items() if at != committed[tp]}
        processed = sum(at - committed[tp] for tp, at in offsets.items())
        if not (changes or offsets or self.outbox):
            # An exchange during a commit found the work that the commit has done.
            return None
        return PreparedCommit(self, changes, self.outbox.take(), offsets, processed)

    def post_commit(self, frozen: PreparedCommit, last_offsets: Sequence[int]) -> None:
        """Mark the frozen changes as committed, with the last offset of each changelog."""
        self.tables.post_commit(frozen.changes, last_offsets)
        self.committed = {**self.committed, **frozen.offsets}
        self.committed_at = monotonic()

    @property
    def behind(self) -> int:
        """Unprocessed records, including those in Kafka as of the last fetch."""
        return self._inbox.behind(self.positions)

    @property
    def uncommitted_seconds(self) -> float:
        """Seconds for which changes have waited for a commit."""
        return monotonic() - self.committed_at if self._has_work() else 0.0

    def stall_reason(self, longest: float) -> str | None:
        """Return why the task is stuck, None if it works or need not.

        A batch in process for more than ``longest`` seconds counts as stuck.
        """
        if not self.accepting:
            return None
        if any(loop.done() for loop in self._loops):
            return f"a loop of partition {self.partition} has ended"
        if self.busy_since is not None and monotonic() - self.busy_since > longest:
            return f"partition {self.partition} is stuck"
        return None

    def fail(self, exc: BaseException) -> None:
        """Fail with ``exc``: uncommitted changes are void. Reported once."""
        if self.ended:
            log.debug("partition %s is %s: %r", self.partition, self._state.value, exc)
            return
        self.mark_failed()
        self._on_failure(self, exc)

    def mark_failed(self) -> None:
        """Stop accepting and committing; uncommitted changes are void."""
        self._enter(TaskState.FAILED)
        self._flusher.stop()

    async def suspend(self) -> None:
        """Stop accepting, and finish the current batch, which can then be committed."""
        if self.accepting:
            self._enter(TaskState.SUSPENDED)
        self._inbox.clear()
        async with self._processing:
            pass

    async def close(self) -> None:
        """Stop the loops and unlock the partition; uncommitted changes are dropped."""
        if self._state is not TaskState.CLOSED:
            self._enter(TaskState.CLOSED)
        self._inbox.clear()
        if self._loops:
            async with self._processing, self._shared_limits.committing:
                await self._flusher.idle()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops = []
        self._inbox.close()
        await stop_quietly(self.lock.stop())
