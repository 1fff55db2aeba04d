"""The batch transport: Faust's aiokafka transport with whole fetches as messages.

Depends on the internals of faust-streaming 0.15 (``Consumer.getmany``, ``_commit_handler``,
``_drain_messages``, ``wait_empty``, ``perform_seek``); ``tests/streaming/test_insides.py`` fails
when they change.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from aiokafka.errors import ConsumerStoppedError
from faust.transport.consumer import Fetcher
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage
from mode import Service

from streaming.fetch.consumer_thread import BatchConsumerThread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from faust.types import TP

    from streaming.kafka.records import Batch
    from streaming.ports import BatchSink

#: Seconds that a fetch waits for records before it checks whether to continue.
FETCH_TIMEOUT_S = 0.5


class BatchConsumer(driver.Consumer):
    """Passes batches to the agents. The tasks commit, not the consumer."""

    transactions: BatchSink
    #: Start of the current round of fetching, by the monotonic clock.
    fetching_since = 0.0

    @property
    def group_refusal(self) -> str | None:
        """Why the group refuses the worker, None if it does not."""
        reason: str | None = self._thread.refusals.reason
        return reason

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Service) -> None:
        """Fetch and pass on, in as few turns of a busy event loop as possible.

        Faust's method waits four turns per message, and searches for gaps in acknowledgements.
        """
        try:
            while not (self.should_stop or fetcher.should_stop):
                self.fetching_since = monotonic()
                await self.transactions.wait_for_room()
                async for _, message in self.getmany(FETCH_TIMEOUT_S):
                    await self.callback(message)
                await asyncio.sleep(0)
        except ConsumerStoppedError:
            if not self.transport.app.should_stop:
                raise

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Yield fetched batches, internal topics first, so that no backlog starves them."""
        fetched, active = await self._wait_next_records(min(timeout, FETCH_TIMEOUT_S))
        if not fetched or self.should_stop:
            return
        by_topic: dict[str, dict[TP, Batch]] = {}
        for tp, batch in fetched.items():
            if active is None or tp in active or tp in self._buffered_partitions:
                by_topic.setdefault(tp.topic, {})[tp] = batch
        events_topic = self.transactions.source_topic
        for topic in sorted(by_topic, key=lambda topic: topic == events_topic):
            if not self.flow_active:
                # Nothing is lost: the flow continues from the tasks' positions.
                return
            tp = next(iter(by_topic[topic]))
            yield tp, self._to_message(tp, by_topic[topic])

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        """Return a topic's batches as one message, which costs Faust as much as one record.

        It has the partition and offset of one of the batches.
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
        """Seek each task's own position, not the group's offset."""
        positions = self.transactions.pending_seeks()
        try:
            await self.seek_positions(positions)
        except BaseException:
            self.transactions.seek_again(positions)
            raise

    async def seek_positions(self, positions: Mapping[TP, int]) -> None:
        """Fetch from ``positions`` on."""
        assigned = self.assignment()
        here = {tp: offset for tp, offset in positions.items() if tp in assigned}
        if here:
            await self._thread.seek_wait(here)
        # Faust drops records before the last offset that it saw; the tasks decide here.
        self._read_offset.clear()

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: FBT001, FBT002
        """Do nothing: the worker commits all tasks, by their positions."""
        return False

    async def wait_empty(self) -> None:
        """Process and commit the started batches; start no others."""
        await self.transactions.suspend()

    async def on_stop(self) -> None:
        """Commit processed records, and release the partitions."""
        await self.transactions.suspend()
        self.transport._topic_waiters.clear()

    @Service.task
    async def _commit_handler(self) -> None:
        """Disable Faust's timer."""

    @Service.task
    async def _commit_livelock_detector(self) -> None:
        """Disable Faust's check; lag and age of commits are metrics here."""


class BatchFetcher(Fetcher):
    """Runs the consumer's loop, and may be cancelled during a rebalance.

    Faust's fetcher then crashes, and no supervisor restarts it during the shutdown.
    """

    @Service.task
    async def _fetcher(self) -> None:
        try:
            await self.app.consumer._drain_messages(self)
        finally:
            self.set_shutdown()


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport in batches; the transaction manager is a :class:`BatchSink`."""

    Consumer = BatchConsumer
    Fetcher = BatchFetcher
