"""Fakes of Kafka and of processors, with the methods that a task uses."""

from __future__ import annotations

import asyncio
from collections import Counter as Counts
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka.structs import ConsumerRecord

from streaming.errors import FencedError, TransactionFailedError
from streaming.kafka.records import Batch, OutRecord
from tables.layout import LAYOUT_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence

    from faust.types import TP

    from streaming.tasks.outbox import Outbox
    from tables.state import PartitionState

T = TypeVar("T")

TOPIC, OTHER_TOPIC, CHANGELOG = "events", "deltas", "changelog"

#: Timestamp of the record with offset 0; each later record adds a millisecond.
SENT_MS = 1_736_951_445_000


def record(offset: int, key: bytes = b"1", value: bytes | None = b"x") -> ConsumerRecord[Any, Any]:
    """Make a record as the consumer returns it."""
    return ConsumerRecord(
        topic=TOPIC,
        partition=0,
        offset=offset,
        timestamp=SENT_MS + offset,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(),
    )


def batch(start: int, end: int, offsets: Iterable[int] | None = None) -> Batch:
    """Make a batch of the offsets [start, end) with records at ``offsets``, or at all of them."""
    return Batch(
        start, end, [record(at) for at in (range(start, end) if offsets is None else offsets)]
    )


class Counter:
    """A processor that counts records per key and keeps the offsets that it has processed."""

    def __init__(self, state: PartitionState, outbox: Outbox, topic: str = TOPIC) -> None:
        """Count in ``state``, and add each record to ``outbox`` as well."""
        self.topics: Sequence[str] = (topic,)
        self.changelog_topic = f"{topic}-{CHANGELOG}"
        self.state = state
        self.outbox = outbox
        self.processed: list[int] = []
        self.pending = False
        self.takes_over = False
        self.may_process = asyncio.Event()
        self.may_process.set()
        self.error: Exception | None = None

    async def process(self, records: Sequence[ConsumerRecord[Any, Any]], *_: object) -> None:
        """Count ``records`` once ``may_process`` is set."""
        await self.may_process.wait()
        if self.error:
            raise self.error
        keys = [each.key for each in records]
        loaded = dict(zip(keys, await self.state.load(keys), strict=True))
        for each in records:
            count = int(self.state.dirty.get(each.key, None) or loaded[each.key] or 0)
            self.state.dirty[each.key] = b"%d" % (count + 1)
            self.outbox.add("out", 0, OutRecord(each.key, b"%d" % each.offset))
            self.processed.append(each.offset)

    def take_over(self, _: str, values: Sequence[bytes | None]) -> bool:
        """Count ``values`` under one key if ``takes_over`` is set."""
        if self.takes_over:
            if self.error:
                raise self.error
            count = int(self.state.get(b"taken over") or 0)
            self.state.dirty[b"taken over"] = b"%d" % (count + len(values))
        return self.takes_over

    def has_pending(self) -> bool:
        """Return ``pending``, which the test sets."""
        return self.pending

    def prepare(self) -> None:
        """Add a record to the outbox if ``pending`` is set."""
        if self.pending:
            self.outbox.add("out", 0, OutRecord(b"1", b"pending"))
        self.pending = False

    def reset_to_committed(self) -> None:
        """Reset the state to what is committed."""
        self.state.reset_to_committed()


class Producer:
    """A producer that keeps committed records by topic, and waits or fails if a test wants it."""

    def __init__(self, transactional_id: str) -> None:
        """Never fail, until a test sets ``fails_at``."""
        self.transactional_id = transactional_id
        self.fails_at: str | None = None
        self.fault: Exception = TransactionFailedError("as the test wants it")
        self.committed: dict[str, list[tuple[bytes | None, bytes | None]]] = defaultdict(list)
        #: The end offset of each topic, layout records included.
        self.ends: Counts[str] = Counts()
        #: The last committed layout record, by changelog.
        self.layouts: dict[str, bytes] = {}
        #: The number of sends, by topic.
        self.sendings: Counts[str] = Counts()
        self.offsets: dict[TP, int] = {}
        #: The metadata of the offsets committed last.
        self.metadata = ""
        self.transactions = 0
        self.may_commit = asyncio.Event()
        self.may_commit.set()
        self.stopped = False

    def check(self, step: str) -> None:
        """Raise the fault if ``fails_at`` is ``step``."""
        if self.fails_at == step:
            raise self.fault

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` in the current event loop."""
        return await work

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[_Transaction]:
        """Keep the records that the block sends, unless a step fails."""
        self.check("begin")
        transaction = _Transaction(self)
        yield transaction
        await transaction.delivered()
        await self.may_commit.wait()
        self.check("commit")
        for topic, records in transaction.sent.items():
            self.ends[topic] += len(records)
            self.committed[topic] += [each for each in records if each[0] != LAYOUT_KEY]
            for key, value in records:
                if key == LAYOUT_KEY and value is not None:
                    self.layouts[topic] = value
        self.offsets.update(transaction.offsets)
        self.metadata = transaction.metadata
        self.transactions += 1

    async def last_ended(self, tp: TP) -> None:
        """Return: no transaction is open. Fail if the test asks for it."""
        self.check("last ended")

    async def start(self) -> None:
        """Connect, or fail if the test asks for it."""
        self.check("start")

    async def stop(self) -> None:
        """Record the call."""
        self.stopped = True


class _Transaction:
    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self.sent: dict[str, list[tuple[bytes | None, bytes | None]]] = defaultdict(list)
        self.offsets: dict[TP, int] = {}
        self.metadata = ""

    async def send_values(
        self, topic: str, partition: int, values: Mapping[bytes, bytes | None]
    ) -> asyncio.Future[int]:
        self._producer.check("send")
        self.sent[topic] += values.items()
        last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        last.set_result(self._producer.ends[topic] + len(self.sent[topic]) - 1)
        return last

    async def send_records(self, topic: str, partition: int, records: Iterable[OutRecord]) -> None:
        self._producer.check("send records")
        self._producer.sendings[topic] += 1
        self.sent[topic] += [(each.key, each.value) for each in records]

    def send_offsets(self, offsets: Mapping[TP, int], metadata: str = "") -> None:
        self.offsets, self.metadata = dict(offsets), metadata

    async def delivered(self) -> None:
        self._producer.check("offsets")


def fenced() -> FencedError:
    """Return the error that a producer raises when another one has fenced it."""
    return FencedError("reels-0")
