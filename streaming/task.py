"""A task: all that belongs to one partition number, folded and committed as one.

The co-partitioned topics (events and video deltas) share a task per partition number, and with it
one transactional producer, whose id fences every earlier owner of the partition.

The commit, in the steps that docs/fault-tolerance.md and the tests go by:

1. **pack**: what has gathered becomes changes and records (deltas, viral flags, table meta data)
2. **freeze**: the overlay, the outbox and the positions that they stand for are set apart
3. **send**: changelog records, deltas, re-keyed events, dead letters, viral changes
4. **offsets**: the positions, as the group's offsets, in the same transaction
5. **commit**: the transaction ends

Every few seconds, for all commits since:

6. **settle**: RocksDB is written, with the changelog offset that it stands for
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from faust.types import TP

from monitoring import metrics

from .errors import FencedError
from .inbox import Inbox
from .pacing import SETTLE_INTERVAL, Pace, first_pause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from .batch import Batch
    from .outbox import Outbox, OutRecord
    from .processor import Processor
    from .transaction import TransactionalProducer
    from .turns import Turns

    Frozen = Sequence[tuple[Processor, Mapping[bytes, bytes | None]]]
    OutRecords = Mapping[tuple[str, int], Sequence[OutRecord]]

log = logging.getLogger(__name__)

#: Records folded in one go: about what a fetch brings of a partition far behind. The more keys are
#: asked for at once, the less each costs; the event loop gets its turn after some ten milliseconds.
FOLD_CHUNK = 4000


class Task:
    """One partition number at work: open, accepting, suspended, closed."""

    def __init__(
        self,
        partition: int,
        processors: Sequence[Processor],
        outbox: Outbox,
        producer: TransactionalProducer,
        on_failure: Callable[[Task, BaseException], None],
        on_gap: Callable[[Task, TP], None],
        turns: Turns,
    ) -> None:
        """Put the parts together; nothing is opened yet.

        Arguments:
            partition: the partition number of all its topics.
            processors: one a topic, those whose batches go first at the front; they send through
                ``outbox``.
            outbox: what the next transaction sends besides changelogs.
            producer: the task's own; it is started by whoever opens the task.
            on_failure: told once when folding or committing has failed.
            on_gap: told when a batch does not follow what is folded; to be fetched again.
            turns: shared by all tasks of the worker.
        """
        self.partition = partition
        self.processors = {TP(p.topic, partition): p for p in processors}
        self.outbox = outbox
        self.producer = producer
        self._on_failure = on_failure
        self._on_gap = on_gap
        self._turns = turns
        self.positions: dict[TP, int] = {}
        self.committed: dict[TP, int] = {}
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
        self._batch_records = {tp: metrics.batch_records.labels(tp.topic) for tp in self.processors}
        self._inbox = Inbox(self.processors, turns)
        self._full = asyncio.Event()
        self._folding = asyncio.Lock()
        self._committing = asyncio.Lock()
        self._settling = asyncio.Lock()
        self._loops: list[asyncio.Task[None]] = []

    def start(self, positions: Mapping[TP, int], commit_interval: float) -> None:
        """Accept batches from ``positions`` on, and commit every ``commit_interval`` seconds."""
        self.positions = dict(positions)
        self.committed = dict(positions)
        self.failed = False
        self.accepting = True
        self.committed_at = monotonic()
        if not self._loops:
            self._loops = [
                asyncio.create_task(self._fold_loop(), name=f"fold-{self.partition}"),
                asyncio.create_task(
                    self._commit_loop(commit_interval), name=f"commit-{self.partition}"
                ),
                asyncio.create_task(self._settle_loop(), name=f"settle-{self.partition}"),
            ]

    def restored(self) -> None:
        """Begin anew from what is committed."""
        self.outbox.take()
        for processor in self.processors.values():
            processor.restored()

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

    async def _fold_loop(self) -> None:
        while True:
            tp, batch = await self._inbox.next()
            self.busy_since = monotonic()
            try:
                async with self._folding:
                    await self._fold(tp, batch)
            except Exception as exc:  # noqa: BLE001 - whatever it is, the partition stops here
                self.fail(exc)
            finally:
                self.busy_since = None
                self.pending_timestamps.pop(tp, None)

    async def _fold(self, tp: TP, batch: Batch) -> None:
        position = self.positions[tp]
        if not self.accepting or batch.end <= position:
            return
        if batch.start > position:
            # Fetched before a seek, and late to arrive: what lies between comes again.
            log.debug("%s: skipping a batch at %s, expecting %s", tp, batch.start, position)
            self._on_gap(self, tp)
            return
        processor = self.processors[tp]
        records = batch.records
        if records and records[0].offset < position:
            records = [record for record in records if record.offset >= position]
        self._batch_records[tp].observe(len(records))
        for first in range(0, len(records), FOLD_CHUNK):
            chunk = records[first : first + FOLD_CHUNK]
            self.pending_timestamps[tp] = chunk[0].timestamp
            async with self._turns.folding:
                await processor.fold(chunk)
            self.positions[tp] = chunk[-1].offset + 1
            self.applied_timestamps[tp] = chunk[-1].timestamp
            await self._leave_room()
            if not self.accepting:
                return
        self.positions[tp] = batch.end

    async def _leave_room(self) -> None:
        """Have what is folded committed when it is much; wait while a commit is under way."""
        dirty = sum(processor.state.dirty_bytes for processor in self.processors.values())
        if dirty + self.outbox.size < self._turns.uncommitted_share:
            await asyncio.sleep(0)
            return
        self._full.set()
        await asyncio.sleep(0)
        self.busy_since = None
        async with self._committing:
            pass
        self.busy_since = monotonic()

    async def _commit_loop(self, interval: float) -> None:
        pace = Pace(self.partition, interval)
        last_begun, last_folded = perf_counter(), sum(self.positions.values())
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pace.pause_s):
                    await self._full.wait()
            self._full.clear()
            if self.accepting:
                begun, folded, behind = perf_counter(), sum(self.positions.values()), self.behind
                await self.commit()
                pace.committed(
                    perf_counter() - begun, folded - last_folded, begun - last_begun, behind
                )
                last_begun, last_folded = begun, folded

    def _has_work(self) -> bool:
        return (
            self.positions != self.committed
            or bool(self.outbox)
            or any(p.has_pending() for p in self.processors.values())
        )

    async def commit(self) -> None:
        """Commit what is folded so far, if anything is; a failure goes to ``on_failure``."""
        async with self._committing:
            if self.failed or not self._has_work():
                self.committed_at = monotonic()
                return
            try:
                await self._commit()
            except Exception as exc:  # noqa: BLE001 - any failure makes the overlay void
                outcome = "fenced" if isinstance(exc, FencedError) else "aborted"
                metrics.transactions.labels(outcome).inc()
                self.fail(exc)
            # Commits wait for the disk when it cannot keep up.
            if self._unwritten_bytes() > self._turns.unwritten_share:
                await self.settle()

    async def _commit(self) -> None:
        processors = self.processors.values()
        clock = _StepClock()

        # 1. pack
        for processor in processors:
            processor.pack()
        clock.done("pack")

        # 2. freeze
        positions = dict(self.positions)
        frozen = [(p, changes) for p in processors if (changes := p.state.freeze())]
        records = self.outbox.take()
        offsets = {tp: at for tp, at in positions.items() if at != self.committed[tp]}

        # 3. send, 4. offsets, 5. commit
        last_offsets = await self.producer.run(self._transact(frozen, records, offsets, clock))
        metrics.transactions.labels("committed").inc()

        for (processor, changes), last_offset in zip(frozen, last_offsets, strict=True):
            processor.state.keep(last_offset)
            metrics.changelog_records.labels(processor.state.table).inc(len(changes))
        self.committed = positions
        self.committed_at = monotonic()

    async def _transact(
        self, frozen: Frozen, records: OutRecords, offsets: Mapping[TP, int], clock: _StepClock
    ) -> list[int]:
        """Commit in one transaction; return the offsets of the last records of the changelogs.

        Runs in the producer's event loop, beside the folding: of what folding changes, it reads
        nothing.
        """
        async with self.producer.transaction() as transaction:
            # 3. send
            last_offsets = [
                await transaction.send_values(p.changelog_topic, self.partition, changes)
                for p, changes in frozen
            ]
            for (topic, partition), sent in records.items():
                await transaction.send_records(topic, partition, sent)
            await transaction.delivered()
            clock.done("send")

            # 4. offsets: not beside 3, the broker refuses to verify one while it writes the other
            if offsets:
                transaction.send_offsets(offsets)
                await transaction.delivered()
            clock.done("offsets")
        # 5. commit: at the end of the block
        clock.done("commit")
        return [await each for each in last_offsets]

    def _unwritten_bytes(self) -> float:
        return sum(processor.state.unwritten_bytes for processor in self.processors.values())

    async def _settle_loop(self) -> None:
        await asyncio.sleep(first_pause(self.partition, SETTLE_INTERVAL))
        while True:
            await self.settle()
            await asyncio.sleep(SETTLE_INTERVAL)

    async def settle(self) -> None:
        """Write what is committed to RocksDB; a failure goes to ``on_failure``."""
        async with self._settling:
            if self.failed:
                return
            # 6. settle
            clock = _StepClock()
            try:
                await asyncio.gather(*(p.state.settle() for p in self.processors.values()))
            except Exception as exc:  # noqa: BLE001 - the copy on disk is not what it should be
                self.fail(exc)
            clock.done("settle")

    @property
    def behind(self) -> int:
        """Records that are not folded yet, those in Kafka as of the last fetch."""
        return self._inbox.behind(self.positions)

    @property
    def uncommitted_seconds(self) -> float:
        """For how long something has been waiting to be committed."""
        return monotonic() - self.committed_at if self._has_work() else 0.0

    def obstacle(self, longest: float) -> str | None:
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
        if self.failed:
            return
        self.failed = True
        self.accepting = False
        self._on_failure(self, exc)

    async def suspend(self) -> None:
        """Stop accepting, let the fold under way end, commit, and settle; then nothing is open.

        What is suspended already commits no more: at the worker's end its databases may be closed.
        """
        accepted, self.accepting = self.accepting, False
        self._inbox.clear()
        async with self._folding:
            pass
        if accepted:
            await self.commit()
            await self.settle()
        else:
            async with self._committing, self._settling:
                pass

    async def _halt(self) -> None:
        self.accepting = False
        self._inbox.clear()
        async with self._folding, self._committing, self._settling:
            pass

    async def close(self) -> None:
        """Stop the loops and the producer; uncommitted folds are dropped."""
        await self._halt()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops = []
        await stop_quietly(self.producer.stop())


async def stop_quietly(stopping: Awaitable[None], seconds: float = 3.0) -> None:
    """Wait for the end of a client that may be broken; how it ends does not matter any more."""
    try:
        async with asyncio.timeout(seconds):
            await stopping
    except Exception as exc:  # noqa: BLE001
        log.debug("a client did not stop cleanly: %r", exc)


class _StepClock:
    """Times the steps of one commit."""

    def __init__(self) -> None:
        self._last = perf_counter()

    def done(self, step: str) -> None:
        now = perf_counter()
        metrics.commit_seconds.labels(step).observe(now - self._last)
        self._last = now
