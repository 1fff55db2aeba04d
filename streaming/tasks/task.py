"""A task: all that belongs to one partition number, folded and committed as one.

The co-partitioned topics (events, those passed on to their partition, and video deltas) share a
task per partition number. What it has folded is committed with that of the worker's other tasks
(``streaming/commit/committer.py``), if the partition is claimed for this worker
(``streaming/commit/fencing.py``).
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from faust.types import TP

from monitoring import metrics
from streaming.kafka.producer import stop_quietly
from streaming.tasks.inbox import Inbox
from streaming.tasks.memory_budget import MUCH_UNWRITTEN, MemoryBudget
from streaming.timing import CommitTimer
from tables.layout import Position, TablePositions
from tables.rocks import AT_ONCE, UNHURRIED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streaming.kafka.producer import TransactionalProducer
    from streaming.kafka.records import Batch, OutRecord
    from streaming.tasks.outbox import Outbox
    from streaming.tasks.processor import Processor
    from streaming.tasks.shared_limits import SharedLimits
    from tables.layers import Layer
    from tables.rocks import WritePace

log = logging.getLogger(__name__)

#: Records folded in one go: about what a fetch brings of a partition far behind. The more keys are
#: asked for at once, the less each costs; the event loop gets its turn after some ten milliseconds.
RECORDS_PER_CHUNK = 4000


#: Seconds between two writes of what is committed to RocksDB. That much of the changelog has to be
#: read after a kill -9.
FLUSH_INTERVAL_S = 10.0

#: Staggers what tasks do: multiples of it, modulo 1, spread evenly.
GOLDEN_RATIO = 0.618034


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
    """One partition number at work: open, accepting, suspended, closed."""

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
            on_failure: told once when folding or settling has failed.
            on_gap: told when a batch does not follow what is folded; to be fetched again.
            shared_limits: shared by all tasks of the worker.
        """
        self.partition = partition
        self.processors = tuple(processors)
        #: Who folds what, in the order of preference.
        self.sources = {TP(topic, partition): p for p in processors for topic in p.topics}
        self.outbox = outbox
        self.lock = lock
        #: The worker's producer that the partition is claimed for.
        self.claimed_for: str | None = None
        self._on_failure = on_failure
        self._on_gap = on_gap
        self._shared_limits = shared_limits
        self._states = [processor.state for processor in processors]
        self._budget = MemoryBudget(self._states, outbox, shared_limits)
        self.positions: dict[TP, int] = {}
        self.committed: dict[TP, int] = {}
        #: Ids of the source topics, by name: the tables keep them with the positions.
        self.topic_ids: Mapping[str, str] = {}
        self.failed = False
        self.accepting = False
        #: By topic, in ms: the record timestamps of the last record applied, and of the oldest one
        #: of the batch that is being folded.
        self.applied_timestamps: dict[TP, int] = {}
        self.pending_timestamps: dict[TP, int] = {}
        #: By the monotonic clock: when the fold under way began, None when there is none, and when
        #: all that was folded was last known to be committed.
        self.busy_since: float | None = None
        self.committed_at = monotonic()
        self._batch_records = {tp: metrics.batch_records.labels(tp.topic) for tp in self.sources}
        self._inbox = Inbox(self.sources, shared_limits)
        self._folding = asyncio.Lock()
        self._flushing = asyncio.Lock()
        self._much = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def start(self, positions: Mapping[TP, int]) -> None:
        """Accept batches from ``positions`` on."""
        self.positions = dict(positions)
        self.committed = dict(positions)
        self.failed = False
        self.accepting = True
        self.committed_at = monotonic()
        if not self._loops:
            self._loops = [
                asyncio.create_task(self._process_loop(), name=f"process-{self.partition}"),
                asyncio.create_task(self._flush_loop(), name=f"flush-{self.partition}"),
            ]

    def reset_to_committed(self) -> None:
        """Begin anew from what is committed."""
        self.outbox.take()
        for processor in self.processors:
            processor.reset_to_committed()

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
        self._shared_limits.full.set()
        await asyncio.sleep(0)
        self.busy_since = None
        async with self._shared_limits.committing:
            pass
        self.busy_since = monotonic()

    def _has_work(self) -> bool:
        return (
            self.positions != self.committed
            or bool(self.outbox)
            or any(p.has_pending() for p in self.processors)
        )

    def tables(self) -> dict[TP, TablePositions]:
        """Return what the tables say about the source topics, as of the last commit."""
        return {
            tp: TablePositions(processor.changelog_topic, processor.state.positions)
            for tp, processor in self.sources.items()
        }

    def layouts(self, positions: Mapping[TP, int]) -> dict[str, Layer]:
        """Return what tables that stand at ``positions`` lack in their changelogs, by changelog."""
        stands = self._by_table(positions)
        frozen = {
            processor.changelog_topic: processor.state.freeze(stands[processor.changelog_topic])
            for processor in self.processors
        }
        return {changelog: layer for changelog, layer in frozen.items() if len(layer)}

    def post_commit_layouts(self, offsets: Mapping[str, int]) -> None:
        """Take :meth:`layouts` for committed, at these offsets of their changelogs."""
        for processor in self.processors:
            if processor.changelog_topic in offsets:
                processor.state.post_commit(offsets[processor.changelog_topic])

    def _by_table(self, positions: Mapping[TP, int]) -> dict[str, dict[str, Position]]:
        """Return ``positions`` as each table keeps those of its source topics, by changelog."""
        found: dict[str, dict[str, Position]] = {}
        for tp, processor in self.sources.items():
            position = Position(positions[tp], self.topic_ids.get(tp.topic, ""))
            found.setdefault(processor.changelog_topic, {})[tp.topic] = position
        return found

    def prepare_commit(self) -> PreparedCommit | None:
        """Set apart what is folded so far for a commit, None when that is nothing."""
        if self.failed:
            return None
        if not self._has_work():
            self.committed_at = monotonic()
            return None
        self._budget.evict()
        try:
            # 1. prepare
            for processor in self.processors:
                processor.prepare()
            # 2. freeze
            positions = self._by_table(self.positions)
            changes = [
                (processor, frozen)
                for processor in self.processors
                if len(frozen := processor.state.freeze(positions[processor.changelog_topic]))
            ]
        except Exception as exc:  # noqa: BLE001 - whatever it is, the partition stops here
            self.fail(exc)
            return None
        committed = self.committed
        offsets = {tp: at for tp, at in self.positions.items() if at != committed[tp]}
        folded = sum(at - committed[tp] for tp, at in offsets.items())
        return PreparedCommit(self, changes, self.outbox.take(), offsets, folded)

    def post_commit(self, frozen: PreparedCommit, last_offsets: Sequence[int]) -> None:
        """Take what was frozen as committed, with the last offset of each changelog."""
        for (processor, changes), last_offset in zip(frozen.changes, last_offsets, strict=True):
            processor.state.post_commit(last_offset)
            metrics.changelog_records.labels(processor.state.table).inc(len(changes))
        self.committed = {**self.committed, **frozen.offsets}
        self.committed_at = monotonic()

    async def _flush_loop(self) -> None:
        await asyncio.sleep(first_pause_s(self.partition, FLUSH_INTERVAL_S))
        while True:
            # Not in time: commits are about to wait for it.
            pace = AT_ONCE if self._much.is_set() else UNHURRIED
            self._much.clear()
            await self.flush(pace)
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_INTERVAL_S):
                    await self._much.wait()

    async def flush(self, pace: WritePace = AT_ONCE) -> None:
        """Write what is committed to RocksDB; a failure goes to ``on_failure``."""
        async with self._flushing:
            if self.failed:
                return
            # 6. flush
            clock = CommitTimer()
            try:
                # One after the other: reads have the other thread.
                for state in self._states:
                    await state.flush(pace)
            except Exception as exc:  # noqa: BLE001 - the copy on disk is not what it should be
                self.fail(exc)
            clock.done("flush")

    async def flush_early(self) -> None:
        """Settle when there is much: beside the commits, until they are faster than the disk."""
        much = self._budget.unwritten
        if much > 1:
            await self.flush()
        elif much > MUCH_UNWRITTEN:
            self._much.set()

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
        """Give up, for ``exc``: what is not committed is void."""
        if not self.failed:
            self.mark_failed()
            self._on_failure(self, exc)

    def mark_failed(self) -> None:
        """Accept and commit nothing more: what is not committed is void."""
        self.failed = True
        self.accepting = False

    async def suspend(self) -> None:
        """Stop accepting, and let the fold under way end: it is to be committed then."""
        self.accepting = False
        self._inbox.clear()
        async with self._folding:
            pass

    async def close(self) -> None:
        """Stop the loops and unlock the partition; uncommitted folds are dropped."""
        self.accepting = False
        self._inbox.clear()
        async with self._folding, self._shared_limits.committing, self._flushing:
            pass
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops = []
        self._inbox.close()
        await stop_quietly(self.lock.stop())


def first_pause_s(partition: int, interval_s: float) -> float:
    """Return how many seconds a task waits for the first time with what it does so often.

    Tasks that begin together do not settle together: their bursts would add up.
    """
    return interval_s * (partition * GOLDEN_RATIO % 1.0)
