"""The batch transport: Faust's aiokafka transport with all that one fetch brought as the message.

Leans on the insides of faust-streaming 0.15 (``Consumer.getmany``, ``_commit_handler``,
``_drain_messages``, ``wait_empty``, ``perform_seek``; ``AIOKafkaConsumerThread.getmany``,
``_fetch_records``, ``_create_worker_consumer``) and of aiokafka 0.14 (``Fetcher._records``,
``FetchResult``, ``_client``, ``_coordinator``, ``_fetch_max_wait_ms`` and ``_fetch_min_bytes`` of
consumer and fetcher);
``tests/streaming/test_insides.py`` fails when they move.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import ConsumerStoppedError, KafkaConnectionError
from aiokafka.structs import TopicPartition
from faust.transport.consumer import Fetcher
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode import Service

from .batch import Batch
from .gathering import Gathering
from .network import run_in
from .task_manager import TaskManager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from aiokafka import AIOKafkaConsumer
    from aiokafka.consumer.fetcher import Fetcher as KafkaFetcher
    from aiokafka.structs import OffsetAndMetadata

    from .fetched import Unpack

#: Seconds that a fetch waits for records before it looks whether it should go on.
FETCH_TIMEOUT = 0.5


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Fetches in a thread of its own: whatever is there of each partition, at once."""

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        self._gathering = Gathering(monotonic())
        consumer = super()._create_worker_consumer(transport)
        # Its fetcher begins with these.
        consumer._fetch_max_wait_ms, consumer._fetch_min_bytes = self._gathering.wait
        return consumer

    async def getmany(
        self, active_partitions: set[TP] | None, timeout: float
    ) -> Mapping[TP, Batch]:
        """Fetch, without the layers that other calls of the thread go through.

        They are four tasks for each call, and a fetch comes every twenty milliseconds.
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
        fetcher, unpack = consumer._fetcher, self.consumer.app.task_parts.unpack
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        deadline = monotonic() + (timeout or 0.0)
        with fetcher._subscriptions.fetch_context():
            while True:
                if fetcher._subscriptions.reassignment_in_progress:
                    await fetcher._subscriptions.wait_for_assignment()
                batches = _take_fetched(fetcher, active_partitions, unpack)
                self._gather(fetcher, batches)
                left = deadline - monotonic()
                if batches or left <= 0 or fetcher._closed:
                    return batches
                waiter = fetcher._create_fetch_waiter()
                done, _ = await asyncio.wait([waiter], timeout=left)
                if not done:
                    waiter.cancel()
                    return {}
                waiter.result()

    def _gather(self, fetcher: KafkaFetcher, batches: Mapping[TP, Batch]) -> None:
        self._gathering.fetched(sum(len(batch.records) for batch in batches.values()), monotonic())
        fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes = self._gathering.wait

    async def pause(self, partitions: Iterable[TP]) -> None:
        """Stop fetching from ``partitions`` for good.

        Faust only leaves out what it does not want of what was fetched.
        """

        async def pause() -> None:
            consumer = self._ensure_consumer()
            wanted = set(partitions)
            consumer.pause(*(tp for tp in consumer.assignment() if tp in wanted))

        await self.call_thread(pause)

    def log_end(self, partition: TP) -> int | None:
        """Return the end of a partition's log as the last fetch told it, None before that."""
        tp = TopicPartition(*partition)
        consumer = self._ensure_consumer()
        end: int | None = consumer.highwater(tp) if tp in consumer.assignment() else None
        return end

    async def log_ends(self, partitions: Iterable[TP]) -> dict[TP, int]:
        """Return the ends of partitions' logs as the brokers tell them now."""

        async def ends() -> dict[TP, int]:
            consumer = self._ensure_consumer()
            tps = [TopicPartition(*tp) for tp in partitions]
            return {TP(*tp): end for tp, end in (await consumer.end_offsets(tps)).items()}

        return cast("dict[TP, int]", await self.call_thread(ends))

    def knows_topic(self, topic: str) -> bool:
        """Return whether the brokers had ``topic`` when they were last asked."""
        return bool(self._ensure_consumer()._client.cluster.partitions_for_topic(topic))

    async def has_topic(self, topic: str) -> bool:
        """Ask the brokers whether they have ``topic``.

        Raises:
            KafkaConnectionError: none of them answers.
        """

        async def asked() -> bool:
            if not await self._ensure_consumer()._client.force_metadata_update():
                raise KafkaConnectionError
            return self.knows_topic(topic)

        return cast("bool", await self.call_thread(asked))

    async def committed(self, partitions: Iterable[TP]) -> dict[TP, OffsetAndMetadata]:
        """Return what the group has committed, for those partitions of which it has anything."""

        async def committed() -> dict[TP, OffsetAndMetadata]:
            tps = [TopicPartition(*tp) for tp in partitions]
            found = await self._ensure_consumer()._coordinator.fetch_committed_offsets(tps)
            return {TP(*tp): offset for tp, offset in found.items()}

        return cast("dict[TP, OffsetAndMetadata]", await self.call_thread(committed))


def _take_fetched(
    fetcher: KafkaFetcher, partitions: set[TP] | None, unpack: Unpack
) -> dict[TP, Batch]:
    """Take over all that was fetched of ``partitions``, and make room for the next fetch."""
    batches: dict[TP, Batch] = {}
    for tp in list(fetcher._records):
        if partitions is not None and tp not in partitions:
            if not fetcher._subscriptions.is_assigned(tp):
                del fetcher._records[tp]
            continue
        fetched = fetcher._records.pop(tp)
        fetcher._notify(fetcher._wait_consume_future)
        if not isinstance(fetched, FetchResult):
            fetched.check_raise()
            continue
        if not fetched.check_assignment(tp) or not fetched.has_more():
            continue
        content = fetched._partition_records
        start = content.next_fetch_offset
        records = unpack(content)
        fetched._update_position()
        high_watermark = fetched._assignment.state_value(tp).highwater or 0
        batches[TP(*tp)] = Batch(start, content.next_fetch_offset, records, high_watermark)
    return batches


class BatchConsumer(driver.Consumer):
    """Hands batches to the agents. Committing is the tasks' business, not the consumer's."""

    transactions: TaskManager
    #: When the turn of fetching and handing over that is under way began, by the monotonic clock.
    fetching_since = 0.0

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Service) -> None:
        """Fetch and hand over, in as few turns of a busy event loop as possible.

        Faust's own waits four turns for each message, besides looking for gaps in what is
        acknowledged.
        """
        try:
            while not (self.should_stop or fetcher.should_stop):
                self.fetching_since = monotonic()
                await self.transactions.wait_for_room()
                async for _, message in self.getmany(FETCH_TIMEOUT):
                    await self.callback(message)
                await asyncio.sleep(0)
        except ConsumerStoppedError:
            if not self.transport.app.should_stop:
                raise

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Yield what is fetched, internal topics first: a backlog of events starves nobody."""
        fetched, active = await self._wait_next_records(min(timeout, FETCH_TIMEOUT))
        if not fetched or self.should_stop:
            return
        by_topic: dict[str, dict[TP, Batch]] = {}
        for tp, batch in fetched.items():
            if active is None or tp in active or tp in self._buffered_partitions:
                by_topic.setdefault(tp.topic, {})[tp] = batch
        events_topic = self.transactions.source_topic
        for topic in sorted(by_topic, key=lambda topic: topic == events_topic):
            if not self.flow_active:
                # Nothing is lost: the flow goes on from the tasks' positions.
                return
            tp = next(iter(by_topic[topic]))
            yield tp, self._to_message(tp, by_topic[topic])

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        """Return a topic's batches as one message: Faust takes as long for it as for a record.

        Its partition and offset are those of one of the batches.
        """
        batches: Mapping[TP, Batch] = record
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            batches[tp].end - 1,
            None,
            0,
            (),
            None,
            batches,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def perform_seek(self) -> None:
        """Go on where each task stands: its own position, not what the group has stored."""
        await self.seek_positions(self.transactions.untold_positions())

    async def seek_positions(self, positions: Mapping[TP, int]) -> None:
        """Fetch from ``positions`` on."""
        assigned = self.assignment()
        here = {tp: offset for tp, offset in positions.items() if tp in assigned}
        if here:
            await self._thread.seek_wait(here)
        # Faust drops what lies before the offset that it saw last; the tasks know better.
        self._read_offset.clear()

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: FBT001, FBT002
        """Do nothing: each task commits on its own, by its own positions."""
        return False

    async def wait_empty(self) -> None:
        """Wait until what was started is folded and committed; nothing new is begun."""
        await self.transactions.suspend()

    async def on_stop(self) -> None:
        """Commit what is folded, and give the partitions up."""
        await self.transactions.suspend()
        self.transport._topic_waiters.clear()

    @Service.task
    async def _commit_handler(self) -> None:
        """Replace Faust's timer."""

    @Service.task
    async def _commit_livelock_detector(self) -> None:
        """Replace Faust's: lag and age of commits are metrics here."""


class BatchFetcher(Fetcher):
    """Runs the consumer's loop; to be cancelled in a rebalance is no fault.

    Faust's own crashes then, to be restarted by a supervisor that it does not have at the end.
    """

    @Service.task
    async def _fetcher(self) -> None:
        try:
            await self.app.consumer._drain_messages(self)
        finally:
            self.set_shutdown()


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport, in batches."""

    Consumer = BatchConsumer
    Fetcher = BatchFetcher
    TransactionManager = TaskManager
