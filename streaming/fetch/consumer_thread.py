"""The consumer thread: fetches batches, and requests offsets and topics.

Depends on the internals of faust-streaming 0.15 (``AIOKafkaConsumerThread.getmany``,
``_fetch_records``, ``_create_worker_consumer``, ``close``) and of aiokafka 0.14
(``Fetcher._records``, ``Fetcher._fetch_task``, ``FetchResult``, ``_client``, ``_coordinator``,
``_fetch_max_wait_ms`` and ``_fetch_min_bytes`` of consumer and fetcher);
``tests/streaming/test_insides.py`` fails when they change.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, cast

from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import (
    ConsumerStoppedError,
    CorruptRecordException,
    TopicAuthorizationFailedError,
    UnsupportedCodecError,
)
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streaming.fetch.fetch_tuning import FetchTuner
from streaming.kafka.batch_reader import put_back
from streaming.kafka.group_refusals import Refusals
from streaming.kafka.io_loop import run_in
from streaming.kafka.records import Batch
from streaming.kafka.topic_ids import topic_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiokafka import AIOKafkaConsumer
    from aiokafka.consumer.fetcher import Fetcher as KafkaFetcher
    from aiokafka.structs import OffsetAndMetadata

    from streaming.kafka.batch_reader import Unpack
    from streaming.kafka.group_coordinator import Coordinator

#: Approximate bytes of unpacked records of all partitions.
UNPACKED_BYTES = 32 << 20

#: Seconds within which the consumer leaves the group and closes its connections.
STOP_TIMEOUT_S = 5.0


class FetchEndedError(Exception):
    """aiokafka fetches nothing any more."""

    def __init__(self, fetching: asyncio.Task[None]) -> None:
        """Say how ``fetching`` has ended."""
        exc = None if fetching.cancelled() else fetching.exception()
        super().__init__(f"fetching has ended: {'cancelled' if exc is None else repr(exc)}")
        self.__cause__ = exc


class UnreadableBatchError(Exception):
    """Fetched bytes are no record batch, or one that this program cannot decompress."""

    def __init__(self, tp: TP, offset: int, cause: Exception) -> None:
        """Name the batch at or after ``offset``."""
        super().__init__(
            f"topic {tp.topic}, partition {tp.partition}: the records from offset {offset} on "
            f"cannot be read: {cause}"
        )


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Fetches the available records of all partitions at once, in its own thread."""

    #: Why the group refuses the worker, None if it does not.
    refusals: Refusals

    def __post_init__(self) -> None:
        """Complete Faust's construction."""
        super().__post_init__()
        self.refusals = Refusals(self.consumer.app.task_context.settings, self._give_up)

    def _give_up(self, exc: BaseException) -> None:
        """End the worker; its app runs in another thread."""
        self.parent_loop.call_soon_threadsafe(self.consumer.app.give_up, exc)

    async def on_start(self) -> None:
        """Connect and watch the membership; the group is joined afterwards."""
        await super().on_start()
        coordinator: Coordinator = self._ensure_consumer()._coordinator
        coordinator.hears(self.refusals, self._give_up)

    def close(self) -> None:
        """Do nothing: the thread closes its consumer when it ends.

        Faust calls this at a rebalance while the app stops, and closes the connections in the app's
        event loop. This thread may be reading from them: with uvloop, that crashes the process.
        """

    async def on_thread_stop(self) -> None:
        """Close the consumer, within a limited time if a rebalance waits for other members."""
        with suppress(TimeoutError):
            await asyncio.wait_for(super().on_thread_stop(), STOP_TIMEOUT_S)

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        self._fetch_tuner = FetchTuner(monotonic())
        consumer = super()._create_worker_consumer(transport)
        # The fetcher starts with these.
        consumer._fetch_max_wait_ms, consumer._fetch_min_bytes = self._fetch_tuner.wait
        return consumer

    async def getmany(
        self, active_partitions: set[TP] | None, timeout: float
    ) -> Mapping[TP, Batch]:
        """Fetch without the layers of other calls to the thread.

        Those start four tasks per call, and there is a fetch every twenty milliseconds.
        """
        fetching = self._fetch_records(self._ensure_consumer(), active_partitions, timeout)
        return await run_in(self.thread_loop, fetching)

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP] | None,
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Mapping[TP, Batch]:
        if not self.consumer.flow_active:
            return {}
        fetcher, unpack = consumer._fetcher, self.consumer.app.task_context.unpack
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        if fetcher._fetch_task.done():
            # It is not started again, and without records a worker looks as if none had come.
            self._give_up(FetchEndedError(fetcher._fetch_task))
            raise ConsumerStoppedError
        deadline = monotonic() + (timeout or 0.0)
        with fetcher._subscriptions.fetch_context():
            while True:
                if fetcher._subscriptions.reassignment_in_progress:
                    await fetcher._subscriptions.wait_for_assignment()
                try:
                    batches, has_more = _take_fetched(fetcher, active_partitions, unpack)
                except UnreadableBatchError as exc:
                    self._give_up(exc)
                    raise ConsumerStoppedError from exc
                self._gather(fetcher, batches)
                left = deadline - monotonic()
                if batches or left <= 0 or fetcher._closed:
                    return batches
                if has_more:
                    # Unpacking has produced no records yet.
                    await asyncio.sleep(0)
                    continue
                waiter = fetcher._create_fetch_waiter()
                done, _ = await asyncio.wait([waiter], timeout=left)
                if not done:
                    waiter.cancel()
                    return {}
                waiter.result()

    def _gather(self, fetcher: KafkaFetcher, batches: Mapping[TP, Batch]) -> None:
        self._fetch_tuner.fetched(
            sum(len(batch.records) for batch in batches.values()), monotonic()
        )
        fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes = self._fetch_tuner.wait

    async def pause(self, partitions: Iterable[TP]) -> None:
        """Stop fetching from ``partitions`` for good.

        Faust only drops their records after the fetch.
        """

        async def pause() -> None:
            consumer = self._ensure_consumer()
            wanted = set(partitions)
            consumer.pause(*(tp for tp in consumer.assignment() if tp in wanted))

        await self.call_thread(pause)

    def log_end(self, partition: TP) -> int | None:
        """Return the end of a partition's log as of the last fetch, None before."""
        tp = TopicPartition(*partition)
        with suppress(AssertionError):  # not assigned, maybe since a moment ago
            end: int | None = self._ensure_consumer().highwater(tp)
            return end
        return None

    async def log_ends(self, partitions: Iterable[TP]) -> dict[TP, int]:
        """Return the current ends of partitions' logs, from the brokers."""

        async def ends() -> dict[TP, int]:
            consumer = self._ensure_consumer()
            tps = [TopicPartition(*tp) for tp in partitions]
            return {TP(*tp): end for tp, end in (await consumer.end_offsets(tps)).items()}

        return cast("dict[TP, int]", await self.call_thread(ends))

    async def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        """Return the topic ids of existing ``topics``; empty if a topic has none."""

        async def asked() -> dict[str, str]:
            return await topic_ids(self._ensure_consumer()._client, topics)

        return cast("dict[str, str]", await self.call_thread(asked))

    async def committed(self, partitions: Iterable[TP]) -> dict[TP, OffsetAndMetadata]:
        """Return the group's committed offsets, for partitions that have one."""

        async def committed() -> dict[TP, OffsetAndMetadata]:
            tps = [TopicPartition(*tp) for tp in partitions]
            found = await self._ensure_consumer()._coordinator.fetch_committed_offsets(tps)
            return {TP(*tp): offset for tp, offset in found.items()}

        return cast("dict[TP, OffsetAndMetadata]", await self.call_thread(committed))


def _take_fetched(
    fetcher: KafkaFetcher, partitions: set[TP] | None, unpack: Unpack
) -> tuple[dict[TP, Batch], bool]:
    """Take the fetched records of ``partitions``, so that the next fetch can start.

    Partitions that exceed the memory limit wait for the next call, with a lower priority. Returns
    whether there are any.
    """
    batches: dict[TP, Batch] = {}
    taken, has_more = 0, False
    for tp in list(fetcher._records):
        if partitions is not None and tp not in partitions:
            subscriptions = fetcher._subscriptions
            # Changelogs are paused after their assignment, when they may have been fetched.
            if not subscriptions.is_assigned(tp) or tp in subscriptions.paused_partitions():
                del fetcher._records[tp]
            continue
        if taken >= UNPACKED_BYTES:
            return batches, True
        fetched = fetcher._records.pop(tp)
        if not isinstance(fetched, FetchResult):
            fetcher._notify(fetcher._wait_consume_future)
            with suppress(TopicAuthorizationFailedError):  # TopicWatch looks whether that lasts
                fetched.check_raise()
            continue
        if not fetched.check_assignment(tp) or not fetched.has_more():
            fetcher._notify(fetcher._wait_consume_future)
            continue
        content = fetched._partition_records
        start = content.next_fetch_offset
        try:
            records = unpack(content)
        except (CorruptRecordException, UnsupportedCodecError) as exc:
            raise UnreadableBatchError(TP(*tp), start, exc) from exc
        fetched._update_position()
        if put_back(fetched, fetcher._records):
            has_more = True
        else:
            fetcher._notify(fetcher._wait_consume_future)
        size = content._records.taken
        taken += size
        end = content.next_fetch_offset
        if records or end > start:
            high_watermark = fetched._assignment.state_value(tp).highwater or 0
            batches[TP(*tp)] = Batch(start, end, records, high_watermark, size)
    return batches, has_more
