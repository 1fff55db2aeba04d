"""A test bench of tasks with real tables, fake Kafka and fake processors."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from faust.types import TP

from streaming.commit.committer import Committer
from streaming.commit.fencing import Fencing
from streaming.kafka.batch_writer import pack
from streaming.kafka.clients import REQUEST_TIMEOUT_MS
from streaming.kafka.producer import TransactionalProducer
from streaming.tasks.outbox import Outbox
from streaming.tasks.shared_limits import SharedLimits
from streaming.tasks.task import Task
from tests.streaming.fakes import OTHER_TOPIC, TOPIC, Counter, Producer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streaming.kafka.batch_writer import Pack
    from streaming.kafka.records import Batch
    from streaming.kafka.topic_limits import Limits
    from streaming.tasks.processor import Processor
    from tables.state import PartitionState
    from tests.cluster import Cluster

EVENTS = TP(TOPIC, 0)
DELTAS = TP(OTHER_TOPIC, 0)
NEVER = 10_000.0


async def until(is_so: Callable[..., object]) -> None:
    """Poll until ``is_so`` returns a true value, for 5 s at most."""
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - no event announces the condition
            await asyncio.sleep(0.001)


def producer_of(
    cluster: Cluster, name: str, pack: Pack = pack, limits: Limits | None = None
) -> TransactionalProducer:
    """Return a real producer with the transactional id ``name``, in the group of ``cluster``."""
    settings = {
        "bootstrap_servers": [cluster.bootstrap],
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
    }
    return TransactionalProducer(name, cluster.app_id, settings, pack=pack, limits=limits)


@dataclass
class Bench:
    """A worker's tasks and everything that they use; most tests use the first task."""

    make_state: Callable[[str], PartitionState]
    tasks: dict[int, Task] = field(default_factory=dict)
    #: In order of creation, without the partitions' locks.
    producers: list[Producer] = field(default_factory=list)
    locks: dict[int, Producer] = field(default_factory=dict)
    #: The errors of failed tasks, and those of failed transactions.
    failures: list[BaseException] = field(default_factory=list)
    commit_failures: list[BaseException] = field(default_factory=list)
    gaps: list[TP] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shared_limits = SharedLimits(self.tasks)
        self.claims = Fencing("reels", self._connect, self.shared_limits.committing)
        self.committer = Committer(self.tasks, self.claims, self.shared_limits, self._commit_failed)

    def _connect(self, name: str) -> TransactionalProducer:
        producer = Producer(name)
        if "-worker-" in name:
            self.producers.append(producer)
        return cast("TransactionalProducer", producer)

    def _commit_failed(self, exc: BaseException) -> None:
        self.commit_failures.append(exc)
        for task in self.tasks.values():
            if not task.failed:
                task.mark_failed()

    async def add(self, partition: int = 0) -> Task:
        """Add a task that accepts batches."""
        outbox = Outbox()
        counters = [
            Counter(self.make_state(f"{topic}-{partition}"), outbox, topic)
            for topic in (TOPIC, OTHER_TOPIC)
        ]
        return await self._open(partition, counters, outbox, {})

    async def reopen(self, partition: int = 0) -> Task:
        """Close a task and replace it by one that begins at its committed positions."""
        task = self.tasks[partition]
        await task.close()
        task.outbox.take()
        return await self._open(partition, task.tables.processors, task.outbox, task.committed)

    async def _open(
        self,
        partition: int,
        counters: Sequence[Processor],
        outbox: Outbox,
        committed: Mapping[TP, int],
    ) -> Task:
        lock = self.claims.lock_of(partition)
        self.locks[partition] = cast("Producer", lock)
        task = self.tasks[partition] = Task(
            partition,
            counters,
            outbox,
            lock,
            on_failure=lambda _, exc: self.failures.append(exc),
            refetch=lambda _, tp: self.gaps.append(tp),
            shared_limits=self.shared_limits,
        )
        task.begin_restoring()
        positions = {tp: committed.get(tp, 0) for tp in task.sources}
        layouts = task.tables.layouts(positions)
        claim = await self.claims.claim(partition, task.lock, positions, layouts)
        task.tables.post_commit_layouts(claim.offsets)
        task.claimed_for = claim.name
        await task.flush()
        task.start(positions)
        return task

    @property
    def task(self) -> Task:
        return self.tasks[0]

    @property
    def producer(self) -> Producer:
        """The producer of the worker's current or latest transaction."""
        return self.producers[-1]

    @property
    def counter(self) -> Counter:
        return cast("Counter", self.task.sources[EVENTS])

    @property
    def state(self) -> PartitionState:
        return self.counter.state

    def submit(self, *batches: Batch, tp: TP = EVENTS) -> None:
        for each in batches:
            self.tasks[tp.partition].submit(tp, each)

    async def commit(self) -> int:
        """Commit the processed records."""
        return await self.committer.commit([t for t in self.tasks.values() if t.accepting])

    async def processed(self, count: int, partition: int = 0) -> None:
        """Wait until ``count`` records are processed."""
        counter = cast("Counter", self.tasks[partition].sources[TP(TOPIC, partition)])
        await until(lambda: len(counter.processed) >= count)

    async def idle(self) -> None:
        """Wait until the inbox is empty."""
        await until(lambda: not self.task._inbox and not self.task._processing.locked())
        await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self.committer.stop()
        for task in self.tasks.values():
            await task.close()
