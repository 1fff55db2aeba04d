"""The group's lag in partitions that no worker reports, from the brokers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from streaming.restore.changelog import changelog_consumer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer

#: Seconds for the brokers' answers.
ANSWER_TIMEOUT_S: Final = 5.0


class GroupLag:
    """Compares the ends of topics' logs with a group's committed offsets.

    Uses clients of its own, because the group's consumer may be waiting for brokers.
    """

    def __init__(
        self,
        admin: AIOKafkaAdminClient,
        consumer: AIOKafkaConsumer,
        group: str,
        topics: Sequence[str],
    ) -> None:
        """Use ``admin`` for the offsets of ``group``, ``consumer`` for the ends of ``topics``."""
        self._admin = admin
        self._consumer = consumer
        self._group = group
        self._topics = topics

    @classmethod
    @asynccontextmanager
    async def connected(
        cls, client_settings: Mapping[str, Any], group: str, topics: Sequence[str]
    ) -> AsyncIterator[Self]:
        """Connect the clients.

        Raises:
            KafkaError, OSError: the brokers do not answer.
        """
        admin = AIOKafkaAdminClient(**client_settings)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await admin.start()
            async with changelog_consumer(client_settings) as consumer:
                yield cls(admin, consumer, group, topics)
        finally:
            await admin.close()

    async def records(self, partitions: Collection[int]) -> dict[int, int]:
        """Return the lag of each of ``partitions``, in records.

        It is a difference of offsets, so that transaction markers count, too.

        Raises:
            KafkaError, OSError: the brokers do not answer in time.
        """
        tps = [TopicPartition(topic, number) for number in partitions for topic in self._topics]
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            stored = await self._admin.list_consumer_group_offsets(self._group, partitions=tps)
            begins = await self._consumer.beginning_offsets(tps)
            ends = await self._consumer.end_offsets(tps)
        behind = dict.fromkeys(partitions, 0)
        for tp in tps:
            at = max(stored[tp].offset if tp in stored else 0, begins[tp])
            behind[tp.partition] += max(0, ends[tp] - at)
        return behind
