"""Progress of the group: committed offsets and ends from Kafka, not from the worker."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from benchmarks.rig.worker import BenchError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from settings import Settings


class Offsets:
    """Offsets of a program's input topic; get it from :func:`offsets_of`."""

    def __init__(
        self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, settings: Settings
    ) -> None:
        """Use the connected ``admin`` and ``consumer``."""
        self._admin = admin
        self._consumer = consumer
        self._group = settings.app_id
        self._topic = settings.events_topic
        self._tps = [TopicPartition(self._topic, each) for each in range(settings.partitions)]

    async def committed(self) -> int:
        """Return how many events the group has committed in all partitions."""
        try:
            offsets = await self._admin.list_consumer_group_offsets(self._group)
        except GroupCoordinatorNotAvailableError:  # no member has joined yet
            return 0
        return sum(max(0, at.offset) for tp, at in offsets.items() if tp.topic == self._topic)

    async def ends(self) -> int:
        """Return how many events were sent to all partitions."""
        return sum((await self._consumer.end_offsets(self._tps)).values())

    async def lag(self) -> int:
        """Return how many sent events are not committed."""
        ends, committed = await asyncio.gather(self.ends(), self.committed())
        return max(0, ends - committed)

    async def wait_caught_up(self, timeout_s: float, period_s: float = 0.1) -> None:
        """Wait until all sent events are committed; check every ``period_s`` seconds.

        Raises BenchError if that takes longer than ``timeout_s`` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while left := await self.lag():
            if time.monotonic() > deadline:
                raise BenchError(f"{left:,} events are not processed after {timeout_s:.0f} s")
            await asyncio.sleep(period_s)


@asynccontextmanager
async def offsets_of(settings: Settings) -> AsyncIterator[Offsets]:
    """Connect to Kafka, and yield the offsets."""
    servers = settings.bootstrap_servers
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await admin.start()
    try:
        await consumer.start()
        try:
            yield Offsets(admin, consumer, settings)
        finally:
            await consumer.stop()
    finally:
        await admin.close()


async def delete_topics(settings: Settings) -> None:
    """Delete all topics of a program: those whose names begin with its app id."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        names = await admin.list_topics()
        await admin.delete_topics([name for name in names if name.startswith(settings.app_id)])
    finally:
        await admin.close()
