"""The views that another program counts, from the committed rows in a topic of its results."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition

from streaming.kafka.clients import client_settings
from streaming.restore.changelog import changelog_consumer, remaining

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from aiokafka import AIOKafkaConsumer

    from settings import Settings

_POLL_MS = 100


class ViewCounts:
    """The last committed row of each key; get it from :func:`counted_views`."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        tps: Sequence[TopicPartition],
        views_of: Callable[[bytes], int],
    ) -> None:
        """Read through ``consumer``, which is assigned ``tps``."""
        self._consumer = consumer
        self._tps = tps
        self._views_of = views_of
        self._views: dict[bytes, int] = {}

    async def views(self) -> int:
        """Read on to the end, and return the sum of the views of all rows."""
        ends = await self._consumer.end_offsets(self._tps)
        while await remaining(self._consumer, ends):
            found = await self._consumer.getmany(timeout_ms=_POLL_MS)
            for records in found.values():
                self._views |= {
                    record.key: self._views_of(record.value) if record.value else 0
                    for record in records
                }
        return sum(self._views.values())


@asynccontextmanager
async def counted_views(
    settings: Settings, topic: str, views_of: Callable[[bytes], int]
) -> AsyncIterator[ViewCounts]:
    """Read ``topic``, which exists; ``views_of`` returns the views in the value of a row."""
    tps = [TopicPartition(topic, each) for each in range(settings.partitions)]
    async with changelog_consumer(client_settings(settings)) as consumer:
        consumer.assign(tps)
        yield ViewCounts(consumer, tps, views_of)
