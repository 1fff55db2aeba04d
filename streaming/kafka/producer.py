"""Transactional producers; each fences earlier ones of its transactional id (KIP-98)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    IllegalOperation,
    InvalidProducerIdMapping,
    KafkaError,
    ProducerFenced,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from monitoring import metrics
from streaming.errors import ConfigurationError, FencedError, RefusedError, TransactionFailedError
from streaming.kafka.batch_writer import BATCH_BYTES, pack, record_batches
from streaming.kafka.refused_records import CONFIGURATION, REFUSALS, advice, refusal
from streaming.kafka.stopping import stop_producer
from streaming.kafka.topic_limits import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping

    from aiokafka.producer.message_accumulator import BatchBuilder
    from faust.types import TP

    from streaming.kafka.batch_writer import Pack
    from streaming.kafka.io_loop import IoLoop
    from streaming.kafka.records import OutRecord
    from tables.layers import Layer

T = TypeVar("T")

#: Maximum number of batches above BATCH_BYTES (one record each) in flight. A request has one batch
#: per partition, and brokers refuse requests of 100 MiB.
MAX_LARGE_BATCHES = 8

#: The broker aborts transactions that are open for longer, so that readers do not wait for a worker
#: that died and whose partition has no new owner.
TRANSACTION_TIMEOUT_MS = 15_000

#: The broker refuses a new transaction while it writes the markers of the last one (KIP-890). That
#: takes a few milliseconds; aiokafka would wait for 100.
RETRY_BACKOFF_MS = 20


#: Seconds to wait for a producer's id: longer than brokers need to abort its last transaction.
START_TIMEOUT_S = 60.0


class TransactionalProducer:
    """A producer with one transactional id, and the transactions sent through it."""

    def __init__(
        self,
        transactional_id: str,
        group_id: str,
        settings: Mapping[str, Any],
        io_loop: IoLoop | None = None,
        pack: Pack = pack,
        limits: Limits | None = None,
    ) -> None:
        """Configure a producer with aiokafka's ``settings``; :meth:`start` connects it.

        It runs in the event loop of ``io_loop``, or (None) in the one that starts it. ``pack``
        packs values into batches of the size that ``limits`` allow.
        """
        self.transactional_id = transactional_id
        self._group_id = group_id
        self._settings = settings
        self._io_loop = io_loop
        self._pack = pack
        self._limits = limits or Limits()
        self._timeout: float = settings["request_timeout_ms"] / 1000
        self._producer: AIOKafkaProducer | None = None

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` in the producer's event loop, where it may open transactions."""
        return await (work if self._io_loop is None else self._io_loop.run(work))

    async def start(self) -> None:
        """Connect, fence other producers of this id, and wait for the end of their transactions.

        Raises:
            ConfigurationError: the brokers do not allow this id or its transactions.
            TransactionFailedError: they did not allow them within :data:`START_TIMEOUT_S`, for
                example because a partition of the last transaction has no leader.
        """
        try:
            await self.run(self._start())
        except CONFIGURATION as exc:
            raise ConfigurationError(advice(exc)) from exc
        except TimeoutError as exc:
            raise TransactionFailedError(
                f"{self.transactional_id}: no transaction can begin after {START_TIMEOUT_S:.0f} s"
            ) from exc

    async def _start(self) -> None:
        self._producer = AIOKafkaProducer(
            **{
                **self._settings,
                "transactional_id": self.transactional_id,
                "enable_idempotence": True,
                "acks": "all",
                "linger_ms": 0,
                "max_batch_size": BATCH_BYTES,
                "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS,
                "retry_backoff_ms": RETRY_BACKOFF_MS,
            },
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._producer.start()
        except BaseException:
            # After a failed start, aiokafka leaves connections and tasks behind.
            await stop_producer(self._producer)
            raise

    async def stop(self) -> None:
        """Disconnect. The next producer of this id or the time-out aborts an open transaction."""
        if self._producer is not None:
            await self.run(stop_producer(self._producer))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction that commits at the end of the block.

        After an error it counts for nobody: the brokers abort it once the next producer of this id
        starts, or after :data:`TRANSACTION_TIMEOUT_MS`.

        Raises:
            FencedError: another producer of this id has started since.
            RefusedError: a topic refuses a record in this form; nothing was committed.
            ConfigurationError: the brokers refuse until an operator changes a setting or a right.
            TransactionFailedError: any other error; the transaction may have committed or not.
        """
        async with self._begun() as producer:
            transaction = Transaction(producer, self._group_id, self._pack, self._limits)
            try:
                yield transaction
                await transaction.delivered()
                await producer.commit_transaction()
            except BaseException:
                transaction.forget()
                raise

    async def last_ended(self, tp: TP) -> None:
        """Wait until all partitions of the last transaction have its marker.

        Brokers write the markers after the commit, and add no partition to another transaction
        until then (KIP-98). So this changes the group's offset of ``tp`` in a transaction, and
        aborts it. Afterwards the group's coordinator returns all offsets committed before.

        Raises:
            FencedError, TransactionFailedError: as :meth:`transaction`.
        """
        await self.run(self._last_ended(tp))

    async def _last_ended(self, tp: TP) -> None:
        async with self._begun() as producer:
            await producer.send_offsets_to_transaction(
                {TopicPartition(*tp): OffsetAndMetadata(0, "")}, self._group_id
            )
            await producer.abort_transaction()

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = self._producer
        assert producer is not None, "the producer is not started"  # noqa: S101 - a bug here
        try:
            async with asyncio.timeout(self._timeout):
                await producer.begin_transaction()
                yield producer
        # A producer in a fatal state raises the assertion errors of aiokafka's state machine.
        except (KafkaError, IllegalOperation, TimeoutError, AssertionError) as exc:
            if isinstance(exc, ProducerFenced) or _is_fenced(producer):
                raise FencedError(self.transactional_id) from exc
            reason = _reason(producer) or exc
            if isinstance(reason, CONFIGURATION):
                raise ConfigurationError(advice(reason)) from exc
            raise TransactionFailedError(f"{self.transactional_id}: {_described(reason)}") from exc


def _reason(producer: AIOKafkaProducer) -> BaseException | None:
    """Return the original error of a transaction that can only be aborted, None if unknown."""
    task = producer._sender.sender_task
    ended: BaseException | None = None
    if task is not None and task.done() and not task.cancelled():
        ended = task.exception()
    if ended is not None:
        # aiokafka only raises that its sender has ended; the sender has the cause.
        return ended.__cause__ or ended
    waiter = producer._txn_manager.wait_for_transaction_end()
    return waiter.exception() if waiter is not None and waiter.done() else None


def _described(reason: BaseException) -> str:
    """Describe a reason in one line."""
    if isinstance(reason, InvalidProducerIdMapping):
        return (
            "the brokers removed this id, because it was unused for longer than their "
            "transactional.id.expiration.ms"
        )
    return repr(reason)


def _is_fenced(producer: AIOKafkaProducer) -> bool:
    """Whether the sender of a producer ended because it was fenced."""
    task = producer._sender.sender_task
    return (
        task is not None
        and task.done()
        and not task.cancelled()
        and isinstance(task.exception(), ProducerFenced)
    )


class Transaction:
    """The records and offsets sent in an open transaction."""

    def __init__(
        self, producer: AIOKafkaProducer, group_id: str, pack: Pack, limits: Limits
    ) -> None:
        """Send batches within ``limits`` through ``producer``, which has an open transaction."""
        self._producer = producer
        self._group_id = group_id
        self._pack = pack
        self._limits = limits
        self._pending: list[asyncio.Future[Any]] = []
        self._sent: dict[asyncio.Future[Any], tuple[str, int, Layer | list[OutRecord]]] = {}
        self._large = asyncio.Semaphore(MAX_LARGE_BATCHES)

    def _batch_bytes(self, topic: str) -> int:
        return min(BATCH_BYTES, self._limits.of(topic).batch_bytes)

    async def _send(
        self, batch: BatchBuilder, topic: str, partition: int, records: Layer | list[OutRecord]
    ) -> asyncio.Future[Any]:
        """Send ``batch``, which contains some of ``records``."""
        future: asyncio.Future[Any]
        future = await self._producer.send_batch(batch, topic, partition=partition)
        metrics.sent_bytes.labels(topic).inc(batch.size())
        self._pending.append(future)
        self._sent[future] = topic, partition, records
        return future

    async def send_values(self, topic: str, partition: int, values: Layer) -> asyncio.Future[Any]:
        """Send one record per key of ``values``, which must not be empty.

        Returns:
            A future with the offset of the last record.
        """
        for batch in self._pack(values, self._batch_bytes(topic)):
            future = await self._send(batch, topic, partition, values)
        count = batch.record_count()
        last: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def settle(done: asyncio.Future[Any]) -> None:
            if not done.cancelled() and done.exception() is None and not last.done():
                last.set_result(done.result().offset + count - 1)

        future.add_done_callback(settle)
        return last

    async def send_records(self, topic: str, partition: int, records: Iterable[OutRecord]) -> None:
        """Send ``records`` in order."""
        for batch, inside in record_batches(records, self._batch_bytes(topic)):
            if batch.size() <= BATCH_BYTES:
                await self._send(batch, topic, partition, inside)
                continue
            async with self._large:
                await asyncio.wait([await self._send(batch, topic, partition, inside)])

    def send_offsets(self, offsets: Mapping[TP, int], metadata: str = "") -> None:
        """Commit the group's ``offsets`` in this transaction, each with ``metadata``."""
        stored = {
            TopicPartition(*tp): OffsetAndMetadata(offset, metadata)
            for tp, offset in offsets.items()
        }
        self._pending.append(
            asyncio.ensure_future(
                self._producer.send_offsets_to_transaction(stored, self._group_id)
            )
        )

    def forget(self) -> None:
        """Ignore the results of everything sent."""
        for future in self._pending:
            # asyncio reports exceptions that were never retrieved.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def delivered(self) -> None:
        """Wait until the brokers have acknowledged everything sent. Raises RefusedError."""
        try:
            await asyncio.gather(*self._pending)
        except REFUSALS as exc:
            ended = {future for future in self._sent if future.done() and not future.cancelled()}
            for future in (each for each in ended if each.exception() is exc):
                raise RefusedError(refusal(*self._sent[future], exc)) from exc
            raise
