"""Topics, read from one offset to another, as they are committed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from auditing.errors import AuditError
from auditing.values import id_key
from models.seen import is_sealed_key
from streaming.access import check_access
from streaming.changelog import changelog_consumer
from streaming.errors import StartError
from tables.layout import LAYOUT_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer

    from auditing.values import Values
    from streaming.batch import Record

POLL_MS = 100


@asynccontextmanager
async def open_topics(settings: Mapping[str, Any], group: str) -> AsyncIterator[Topics]:
    """Connect with aiokafka's ``settings`` to the topics that ``group`` reads.

    Raises:
        AuditError: the brokers do not let us in.
    """
    try:
        await check_access(settings)
    except StartError as exc:
        raise AuditError(str(exc)) from exc
    admin = AIOKafkaAdminClient(**settings)
    await admin.start()
    try:
        async with changelog_consumer(settings) as consumer:
            yield Topics(admin, consumer, group)
    finally:
        await admin.close()


class Topics:
    """What is in topics, and how far the group has read them."""

    def __init__(self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, group: str) -> None:
        """Read through ``consumer``, which belongs to no group itself."""
        self._admin = admin
        self._consumer = consumer
        self._group = group
        self._partitions: dict[str, list[int]] = {}

    async def partitions(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions. Raises AuditError when there is none."""
        if topic not in self._partitions:
            if topic not in await self._admin.list_topics():
                raise AuditError(f"there is no topic {topic}: has no worker run yet?")
            (described,) = await self._admin.describe_topics([topic])
            self._partitions[topic] = sorted(each["partition"] for each in described["partitions"])
        return self._partitions[topic]

    async def begins(self, topic: str) -> dict[int, int]:
        """Return the offset of the oldest record of each partition."""
        tps = [TopicPartition(topic, number) for number in await self.partitions(topic)]
        offsets = await self._consumer.beginning_offsets(tps)
        return {tp.partition: offset for tp, offset in offsets.items()}

    async def ends(self, topic: str) -> dict[int, int]:
        """Return the offset after the last committed record of each partition."""
        tps = [TopicPartition(topic, number) for number in await self.partitions(topic)]
        offsets = await self._consumer.end_offsets(tps)
        return {tp.partition: offset for tp, offset in offsets.items()}

    async def committed(self, topic: str) -> dict[int, int]:
        """Return the group's committed offset of each partition, 0 where there is none."""
        found = await self._admin.list_consumer_group_offsets(self._group)
        offsets = dict.fromkeys(await self.partitions(topic), 0)
        offsets |= {
            tp.partition: max(0, at.offset) for tp, at in found.items() if tp.topic == topic
        }
        return offsets

    async def read(
        self, topic: str, partition: int, start: int, end: int
    ) -> AsyncIterator[Sequence[Record]]:
        """Yield the records of one partition with offsets from ``start`` to before ``end``."""
        tp = TopicPartition(topic, partition)
        self._consumer.assign([tp])
        self._consumer.seek(tp, start)
        while await self._consumer.position(tp) < end:
            for records in (await self._consumer.getmany(tp, timeout_ms=POLL_MS)).values():
                yield [record for record in records if record.offset < end]

    async def fold(self, topic: str, partition: int, values: Values) -> bytes | None:
        """Put the last value of each user or video of one partition into ``values``.

        Returns:
            The partition's layout record, None when there is none.
        """
        layout = None
        begins, ends = await self.begins(topic), await self.ends(topic)
        async for records in self.read(topic, partition, begins[partition], ends[partition]):
            for record in records:
                if record.key == LAYOUT_KEY:
                    layout = record.value
                elif record.key is not None and not is_sealed_key(record.key):
                    values.put(id_key(int(record.key)), record.value)
        return layout
