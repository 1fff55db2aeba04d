"""A task: all that belongs to one partition number, folded and committed as one.

The co-partitioned topics (events, those passed on to their partition, and video deltas) share a
task per partition number. What it has folded is committed with that of the worker's other tasks
(``streaming/commit/committer.py``), if the partition is claimed for this worker
(``streaming/commit/fencing.py``).
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from monitoring import metrics
from streaming.kafka.producer import stop_quietly
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

#: Records folded in one go: about what a fetch brings of a partition far behind. The more keys are
#: asked for at once, the less each costs; the event loop gets its turn after some ten milliseconds.
RECORDS_PER_CHUNK = 4000


class PreparedCommit(NamedTuple):
    """What a task has folded since its last commit: its part of the next."""

    task: Task
    changes: Sequence[tuple[Processor, Layer]]
    """Of the tables, for their changelogs."""
    records: Mapping[tuple[str, int], Sequence[OutRecord]]
    """All else that is sent, by topic and partition."""
    offsets: Mapping[TP, int]
    """Of the topics in which it has moved: where it goes on after a commit of all this."""
    records_folded: int


class Task:
    """One partition number at work; :class:`TaskState` has the picture of its life."""

    def __init__(
        self,
        partition: int,
        processors: Sequence[Processor],
        outbox: Outbox,
        lock: TransactionalProducer,
        on_failure: Callable[[Task, BaseException], None],
        on_gap: Callable[[Task, TP], None],
        shared_limits: SharedLimits,
    ) -> None:
        """Put the parts together; nothing is opened yet.

        Arguments:
            partition: the partition number of all its topics.
            processors: one per table, those whose batches go first at the front; they send through
                ``outbox``.
            outbox: what the next transaction sends besides changelogs.
            lock: the partition's; it is started by whoever opens the task.
            on_failure: told once when folding or flushing has failed.
            on_gap: told when a batch does not follow what is folded; to be fetched again.
            shared_limits: shared by all tasks of the worker.
        """
        self.partition = partition
        self.tables = TaskTables(partition, processors)
        self.sources = self.tables.sources
        self.outbox = outbox
        self.lock = lock
        #: The worker's producer that the partition is claimed for.
        self.claimed_for: str | None = None
        self._state = TaskState.CREATED
        self._on_failure = on_failure
        self._on_gap = on_gap
        self._shared_limits = shared_limits
        self._budget = MemoryBudget(self.tables.states, outbox, shared_limits)
        self._flusher = Flusher(partition, self.tables.states, self._budget, self.fail)
        #: Writes what is committed to RocksDB, now or when there is much.
        self.flush, self.flush_early = self._flusher.flush, self._flusher.flush_early
        self.positions: dict[TP, int] = {}
        self.committed: dict[TP, int] = {}
        #: By topic, in ms: the record timestamps of the last record applied, and of the oldest one
        #: of the batch that is being folded.
        self.applied_timestamps: dict[TP, int] = {}
        self.pending_timestamps: dict[TP, int] = {}
        #: By the monotonic clock: when the fold under way began, None when there is none, and when
        #: all that was folded was last known to be committed.
        self.busy_since: float | None = None
        self.committed_at = monotonic()
        #: Whether the commit that is being prepared has to do with this task.
        self._is_due = False
        self._batch_records = {tp: metrics.batch_records.labels(tp.topic) for tp in self.sources}
        self._inbox = Inbox(self.sources, shared_limits)
        self._folding = asyncio.Lock()
        self._loops: list[asyncio.Task[None]] = []

    @property
    def state(self) -> TaskState:
        """Where the task is in its life."""
        return self._state

    @property
    def accepting(self) -> bool:
        """Whether the task is running: it takes batches, and is committed."""
        return self._state is TaskState.RUNNING

    @property
    def failed(self) -> bool:
        """Whether what is not committed is void."""
        return self._state is TaskState.FAILED

    def _enter(self, state: TaskState) -> None:
        self._state = self._state.then(state)
        # Of a partition that is moving or recovering others may know more.
        self.tables.set_readable(readable=state is TaskState.RUNNING)

    def begin_restoring(self) -> None:
        """Have the partition locked, restored and claimed by whoever opens the task."""
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
        """Begin anew from what is committed."""
        self.outbox.take()
        self.tables.reset_to_committed()

    def submit(self, tp: TP, batch: Batch) -> None:
        """Queue a batch, unless the task is suspended."""
        if self.accepting:
            self._inbox.put(tp, batch)

    async def pass_over(self, tp: TP, end: int) -> None:
        """Go on at ``end``: what lies before it is gone. Never back: that would fold it twice.

        What has arrived while somebody asked the brokers for ``end`` may be folded already.
        """
        async with self._folding:
            self.positions[tp] = max(self.positions[tp], end)

    async def _process_loop(self) -> None:
        while True:
            tp, batch = await self._inbox.next()
            self.busy_since = monotonic()
            try:
                async with self._folding:
                    await self._process(tp, batch)
            except Exception as exc:  # noqa: BLE001 - whatever it is, the partition stops here
                self.fail(exc)
            finally:
                self.busy_since = None
                self.pending_timestamps.pop(tp, None)

    async def _process(self, tp: TP, batch: Batch) -> None:
        position = self.positions[tp]
        if not self.accepting or batch.end <= position:
            return
        if batch.start > position:
            # Fetched before a seek, and late to arrive: what lies between comes again.
            log.debug("%s: skipping a batch at %s, expecting %s", tp, batch.start, position)
            self._on_gap(self, tp)
            return
        processor = self.sources[tp]
        records = batch.records
        if records and records[0].offset < position:
            records = [record for record in records if record.offset >= position]
        self._batch_records[tp].observe(len(records))
        for first in range(0, len(records), RECORDS_PER_CHUNK):
            chunk = records[first : first + RECORDS_PER_CHUNK]
            self.pending_timestamps[tp] = chunk[0].timestamp
            async with self._shared_limits.folding:
                await processor.process(chunk, tp.topic, self.positions)
            self.positions[tp] = chunk[-1].offset + 1
            self.applied_timestamps[tp] = chunk[-1].timestamp
            await self._leave_room()
            if not self.accepting:
                return
        self.positions[tp] = batch.end

    async def _leave_room(self) -> None:
        """Have what is folded committed when it is much; wait while a commit is under way."""
        if not self._budget.is_full:
            await asyncio.sleep(0)
            return
        self.busy_since = None
        await self._shared_limits.commit_early()
        self.busy_since = monotonic()

    def _has_work(self) -> bool:
        return self.positions != self.committed or bool(self.outbox) or self.tables.has_pending

    def prepare(self) -> bool:
        """Step 1 of a commit: turn what has gathered into changes and records.

        Returns:
            Whether the task is at work still, and so part of the commit.
        """
        if self._state in ENDED:
            return False
        self._is_due = self._has_work()
        if not self._is_due:
            return True
        self._budget.evict()
        try:
            self.tables.prepare()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the partition stops here
            self.fail(exc)
            return False
        return True

    def take_over(self, tp: TP, values: Sequence[bytes | None]) -> bool:
        """Fold what is about to be sent to ``tp`` by tasks of the same commit.

        Returns:
            Whether it did. If so, that is not sent: both tasks commit, or none of them does.
        """
        if (processor := self.sources.get(tp)) is None:
            return False
        try:
            has_taken = processor.take_over(tp.topic, values)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the partition stops here
            self.fail(exc)
            return False
        self._is_due |= has_taken
        return has_taken

    def freeze(self) -> PreparedCommit | None:
        """Step 2 of a commit: set apart what is folded so far, None when that is nothing."""
        if self._state in ENDED:
            return None
        if not self._is_due:
            self.committed_at = monotonic()
            return None
        try:
            changes = self.tables.freeze(self.positions)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the partition stops here
            self.fail(exc)
            return None
        committed = self.committed
        offsets = {tp: at for tp, at in self.positions.items() if at != committed[tp]}
        folded = sum(at - committed[tp] for tp, at in offsets.items())
        return PreparedCommit(self, changes, self.outbox.take(), offsets, folded)

    def post_commit(self, frozen: PreparedCommit, last_offsets: Sequence[int]) -> None:
        """Take what was frozen as committed, with the last offset of each changelog."""
        self.tables.post_commit(frozen.changes, last_offsets)
        self.committed = {**self.committed, **frozen.offsets}
        self.committed_at = monotonic()

    @property
    def behind(self) -> int:
        """Records that are not folded yet, those in Kafka as of the last fetch."""
        return self._inbox.behind(self.positions)

    @property
    def uncommitted_seconds(self) -> float:
        """For how long something has been waiting to be committed."""
        return monotonic() - self.committed_at if self._has_work() else 0.0

    def stall_reason(self, longest: float) -> str | None:
        """Return why the task does not work any more, None when it does or is not meant to.

        A fold that takes more than ``longest`` seconds counts as one that will not end.
        """
        if not self.accepting:
            return None
        if any(loop.done() for loop in self._loops):
            return f"a loop of partition {self.partition} has ended"
        if self.busy_since is not None and monotonic() - self.busy_since > longest:
            return f"partition {self.partition} is stuck"
        return None

    def fail(self, exc: BaseException) -> None:
        """Give up, for ``exc``: what is not committed is void. Told once."""
        if self._state in ENDED:
            log.debug("partition %s is %s: %r", self.partition, self._state.value, exc)
            return
        self.mark_failed()
        self._on_failure(self, exc)

    def mark_failed(self) -> None:
        """Accept and commit nothing more: what is not committed is void."""
        self._enter(TaskState.FAILED)
        self._flusher.stop()

    async def suspend(self) -> None:
        """Stop accepting, and let the fold under way end: it is to be committed then."""
        if self.accepting:
            self._enter(TaskState.SUSPENDED)
        self._inbox.clear()
        async with self._folding:
            pass

    async def close(self) -> None:
        """Stop the loops and unlock the partition; uncommitted folds are dropped."""
        if self._state is not TaskState.CLOSED:
            self._enter(TaskState.CLOSED)
        self._inbox.clear()
        if self._loops:
            async with self._folding, self._shared_limits.committing:
                await self._flusher.idle()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops = []
        self._inbox.close()
        await stop_quietly(self.lock.stop())
