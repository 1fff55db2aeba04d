"""Send the load to Kafka in batches per partition, not message by message."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING, Self

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)

from streaming.errors import NoTokenError, StartError
from streaming.kafka.clients import client_settings
from streaming.kafka.topic_specs import topic_specs
from streaming.kafka.topics import ensure_topics

if TYPE_CHECKING:
    from types import TracebackType

    from aiokafka.producer.message_accumulator import BatchBuilder
    from aiokafka.structs import RecordMetadata

    from loadgen import EventChunk
    from settings import Settings

#: Larger batches gain nothing: a batch costs 0.1 ms here and about as much in the broker, and
#: 256 KiB hold 1,000 events. At most two per partition are in flight, 4 MiB with 8 partitions.
BATCH_BYTES = 256 << 10
#: Limit of all gathered batches together; with many partitions, batches are smaller.
GATHERED_BYTES = 32 << 20

_FLUSH_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 5.0


class SendError(Exception):
    """Kafka does not accept the events; the text is one line for the user."""


class EventSender:
    """Sends chunks of a workload to the events topic; use it with ``async with``.

    ``sent_bytes`` and ``sent_events`` count events that Kafka has acknowledged; ``refused_events``
    counts those that it refused as too large.
    """

    def __init__(self, settings: Settings, compression: str | None = None) -> None:
        """Prepare the sender; it connects in ``async with``.

        ``compression``: ``gzip``, ``snappy``, ``lz4`` or ``zstd``.
        """
        self._settings = settings
        self._compression = compression
        self._topic = settings.events_topic
        self._producer: AIOKafkaProducer | None = None
        self._partitions = 0
        self._batches: dict[int, BatchBuilder] = {}
        self._under_way: set[asyncio.Future[RecordMetadata]] = set()
        self._failure: BaseException | None = None
        self.sent_events = 0
        self.sent_bytes = 0
        self.refused_events = 0

    async def __aenter__(self) -> Self:
        """Connect; create the topic if it is missing. Raises SendError."""
        where = ", ".join(self._settings.bootstrap_servers)
        try:
            await self._connect()
        except (StartError, NoTokenError) as error:
            raise SendError(str(error)) from error
        except KafkaConnectionError as error:
            text = f"no broker answers at {where} ({_text_of(error)}): check BROKER_URL"
            raise SendError(text) from error
        except (KafkaError, OSError) as error:
            raise SendError(f"Kafka at {where} cannot be used ({_text_of(error)})") from error
        finally:
            if not self._partitions:
                await self._disconnect()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Disconnect. Events that were not flushed are lost."""
        await self._disconnect()

    async def send(self, chunk: EventChunk) -> None:
        """Add the records of ``chunk`` to batches, and send full ones. Raises SendError."""
        partitions = chunk.partitions(self._partitions)
        order = np.argsort(partitions, kind="stable")
        keys, values, now_ms = chunk.keys, chunk.values, time.time_ns() // 1_000_000
        starts = np.flatnonzero(np.diff(partitions[order], prepend=-1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
            partition = int(partitions[order[start]])
            append = self._batch(partition).append
            for index in order[start:end].tolist():
                key, value = keys[index], values[index]
                while append(timestamp=now_ms, key=key, value=value) is None:
                    await self._submit(partition)
                    append = self._batch(partition).append

    async def submit(self) -> None:
        """Send all batches, full or not. Raises SendError."""
        for partition in list(self._batches):
            await self._submit(partition)

    async def flush(self) -> None:
        """Send all batches and wait until Kafka has acknowledged them. Raises SendError."""
        try:
            async with asyncio.timeout(_FLUSH_TIMEOUT_S):
                await self.submit()
                while self._under_way:
                    await asyncio.wait(self._under_way)
        except TimeoutError:
            raise SendError("Kafka does not acknowledge the last events") from None
        self._raise_failure()

    async def _connect(self) -> None:
        options = client_settings(self._settings)
        specs = [
            # Only workers refuse a topic with another number of partitions than set.
            dataclasses.replace(spec, fixed=False)
            for spec in topic_specs(self._settings, ())
            if spec.name == self._topic
        ]
        await ensure_topics(options, specs, self._settings.replication_factor)
        self._producer = AIOKafkaProducer(
            **options,
            # Without it, a request that is retried after a timeout may be stored twice. It
            # implies acks=all, which costs nothing extra on one broker.
            enable_idempotence=True,
            compression_type=self._compression,
            max_batch_size=min(BATCH_BYTES, GATHERED_BYTES // self._settings.partitions),
        )
        await self._producer.start()
        self._partitions = len(await self._producer.partitions_for(self._topic))

    async def _disconnect(self) -> None:
        if self._producer is not None:
            # Without a timeout, ``stop`` waits for a broker that may never come back.
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(_STOP_TIMEOUT_S):
                    await self._producer.stop()

    def _batch(self, partition: int) -> BatchBuilder:
        """Return the open batch of ``partition``."""
        batch = self._batches.get(partition)
        if batch is None:
            batch = self._batches[partition] = self._connected.create_batch()
        return batch

    async def _submit(self, partition: int) -> None:
        """Give the batch of ``partition`` to the producer once the previous one is in flight."""
        self._raise_failure()
        batch = self._batches.pop(partition)
        events, size = batch.record_count(), batch.size()
        try:
            acknowledged = await self._connected.send_batch(batch, self._topic, partition=partition)
        except KafkaError as error:
            raise SendError(f"Kafka accepts no more events ({_text_of(error)})") from error
        self._under_way.add(acknowledged)
        acknowledged.add_done_callback(lambda future: self._settle(future, events, size))

    def _settle(self, future: asyncio.Future[RecordMetadata], events: int, size: int) -> None:
        self._under_way.discard(future)
        error = None if future.cancelled() else future.exception()
        if isinstance(error, MessageSizeTooLargeError):
            self.refused_events += events
        elif error is not None:
            self._failure = self._failure or error
        else:
            self.sent_events += events
            self.sent_bytes += size

    def _raise_failure(self) -> None:
        if self._failure is not None:
            reason = _text_of(self._failure)
            raise SendError(f"Kafka did not accept all events ({reason})") from self._failure

    @property
    def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the sender is used before it is connected")
        return self._producer


def _text_of(error: BaseException) -> str:
    """Return one line that describes the error."""
    if isinstance(error, (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
        return "the right Write on the topic is missing: see docs/security.md"
    return " ".join(str(error).split()) or type(error).__name__
