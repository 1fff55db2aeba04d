"""Sending the load to Kafka: whole batches a partition, not message by message."""

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

    from loadgen import Chunk
    from settings import Settings

# Larger ones gain nothing: a batch costs 0.1 ms here and about as much in the broker, and 256 KiB
# are a thousand events. Two a partition are under way at most, 4 MiB with 8 partitions.
BATCH_BYTES = 256 << 10
# With many partitions, batches are smaller: so much is gathered at most before it is sent.
GATHERED_BYTES = 32 << 20

_FLUSH_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 5.0


class SendError(Exception):
    """Kafka does not take the events; the text is one line for the user."""


class EventSender:
    """Sends chunks of a workload to the events topic; use it with ``async with``.

    ``sent_bytes`` and ``sent_events`` count what Kafka has acknowledged, ``refused_events`` what it
    has refused as too large.
    """

    def __init__(self, settings: Settings) -> None:
        """Describe the sender; nothing is connected yet."""
        self._settings = settings
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
        """Connect; make the topic when there is none. Raises SendError."""
        where = ", ".join(self._settings.bootstrap_servers)
        try:
            await self._connect()
        except (StartError, NoTokenError) as error:
            raise SendError(str(error)) from error
        except KafkaConnectionError as error:
            text = f"no broker answers at {where} ({_text_of(error)}); BROKER_URL says where it is"
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
        """Disconnect. What was not flushed is lost."""
        await self._disconnect()

    async def send(self, chunk: Chunk) -> None:
        """Gather the records of ``chunk``, and send the batches that are full. Raises SendError."""
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
        """Send what is gathered, full or not. Raises SendError."""
        for partition in list(self._batches):
            await self._submit(partition)

    async def flush(self) -> None:
        """Send what is gathered and wait until Kafka has acknowledged all. Raises SendError."""
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
            # Another number of partitions than set is the workers' business.
            dataclasses.replace(spec, fixed=False)
            for spec in topic_specs(self._settings, ())
            if spec.name == self._topic
        ]
        await ensure_topics(options, specs, self._settings.replication_factor)
        self._producer = AIOKafkaProducer(
            **options,
            # Without it, a request that timed out and is sent again may be stored twice. It asks
            # for acks=all, which costs nothing more on one broker.
            enable_idempotence=True,
            max_batch_size=min(BATCH_BYTES, GATHERED_BYTES // self._settings.partitions),
        )
        await self._producer.start()
        self._partitions = len(await self._producer.partitions_for(self._topic))

    async def _disconnect(self) -> None:
        if self._producer is not None:
            # It would wait for a broker that may never come back.
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(_STOP_TIMEOUT_S):
                    await self._producer.stop()

    def _batch(self, partition: int) -> BatchBuilder:
        """Return the batch that gathers records of ``partition``."""
        batch = self._batches.get(partition)
        if batch is None:
            batch = self._batches[partition] = self._connected.create_batch()
        return batch

    async def _submit(self, partition: int) -> None:
        """Hand the batch of ``partition`` over, as soon as the one before is on its way."""
        self._raise_failure()
        batch = self._batches.pop(partition)
        events, size = batch.record_count(), batch.size()
        try:
            acknowledged = await self._connected.send_batch(batch, self._topic, partition=partition)
        except KafkaError as error:
            raise SendError(f"Kafka takes no more events ({_text_of(error)})") from error
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
            raise SendError(f"Kafka did not take all events ({reason})") from self._failure

    @property
    def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the sender is used before it is connected")
        return self._producer


def _text_of(error: BaseException) -> str:
    """One line that says what happened."""
    if isinstance(error, (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
        return "the right Write on the topic is missing: see docs/security.md"
    return " ".join(str(error).split()) or type(error).__name__
