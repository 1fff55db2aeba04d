"""Reading committed records and offsets.

A transaction ends in each partition at another moment, with the marker that the broker writes
there. The group's offsets may therefore be visible before or after their changelog records. All
reads here wait until no open transaction can change their result.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError
from aiokafka.structs import TopicPartition
from faust.types import TP

from auditing.errors import AuditError
from auditing.replayed import Done
from auditing.spill_map import id_key
from auditing.stable_offsets import stable_offsets
from models.dedup import is_sealed_key
from streaming.errors import ChangelogError, NoTokenError, RecordsLostError, StartError
from streaming.kafka.broker_check import check_access
from streaming.kafka.rights import needed, require_rights
from streaming.restore.changelog import changelog_consumer
from streaming.restore.changelog_fetch import fetch_changes, fetch_up_to
from streaming.restore.committed import read_changes
from tables.layout import LAYOUT_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from auditing.spill_map import SpillMap
    from streaming.kafka.metadata import Right
    from streaming.kafka.records import Record
    from tables.layout import StoreFormat

POLL_MS = 100

#: Seconds to wait for an open transaction, and between two checks. The brokers end transactions of
#: a dead worker after 15 s, and check every 10 s.
TRANSACTION_TIMEOUT_S, LOOK_DELAY_S = 30.0, 0.01


@asynccontextmanager
async def open_topics(settings: Mapping[str, Any], group: str) -> AsyncIterator[Topics]:
    """Connect with aiokafka's ``settings`` to the topics that ``group`` reads.

    Raises:
        AuditError: the brokers refuse the connection.
    """
    try:
        await check_access(settings)
    except (StartError, NoTokenError) as exc:
        raise AuditError(str(exc)) from exc
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(**settings)
        await admin.start()
        stack.push_async_callback(admin.close)
        consumer = await stack.enter_async_context(changelog_consumer(settings))
        ends = AIOKafkaConsumer(**settings, group_id=None, isolation_level="read_uncommitted")
        stack.push_async_callback(ends.stop)
        await ends.start()
        yield Topics(admin, consumer, ends, group)


class Topics:
    """Records of topics, and the group's offsets."""

    def __init__(
        self,
        admin: AIOKafkaAdminClient,
        consumer: AIOKafkaConsumer,
        log_ends: AIOKafkaConsumer,
        group: str,
    ) -> None:
        """Read with ``consumer``, which belongs to no group.

        ``log_ends`` returns the ends of logs, including open transactions.
        """
        self._admin = admin
        self._consumer = consumer
        self._log_ends = log_ends
        self._group = group
        self._partitions: dict[str, list[int]] = {}

    async def require(
        self, topics: Mapping[str, AbstractSet[Right]], writer: str | None = None
    ) -> None:
        """Raise AuditError without these rights on each of ``topics``.

        ``writer``: also check the rights to use it as consumer group and transactional id.
        """
        try:
            await require_rights(self._admin, topics, group=writer, transactional_id=writer)
        except StartError as exc:
            raise AuditError(str(exc)) from exc

    async def partitions(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions. Raises AuditError if it does not exist."""
        if topic not in self._partitions:
            if topic not in await self._admin.list_topics():
                raise AuditError(f"topic {topic} does not exist: has a worker run yet?")
            (described,) = await self._admin.describe_topics([topic])
            self._partitions[topic] = sorted(each["partition"] for each in described["partitions"])
        return self._partitions[topic]

    async def begins(self, topic: str) -> dict[int, int]:
        """Return the offset of the oldest record of each partition."""
        tps = [TopicPartition(topic, number) for number in await self.partitions(topic)]
        offsets = await self._consumer.beginning_offsets(tps)
        return {tp.partition: offset for tp, offset in offsets.items()}

    async def ends(self, topic: str) -> dict[int, int]:
        """Return each partition's end offset, once its open transactions have ended.

        Raises AuditError if one does not end.
        """
        tps = [TopicPartition(topic, number) for number in await self.partitions(topic)]
        written, patience = await self._log_ends.end_offsets(tps), _Patience(topic)
        while True:
            ends = await self._consumer.end_offsets(tps)
            if all(ends[tp] >= written[tp] for tp in tps):
                return {tp.partition: offset for tp, offset in ends.items()}
            await patience.rest()

    async def since(self, topic: str, time_ms: int) -> dict[int, int]:
        """Return the first offset of each partition with at least that record timestamp."""
        tps = [TopicPartition(topic, number) for number in await self.partitions(topic)]
        found = await self._consumer.offsets_for_times(dict.fromkeys(tps, time_ms))
        ends = await self._consumer.end_offsets(tps)
        return {tp.partition: ends[tp] if found.get(tp) is None else found[tp].offset for tp in tps}

    async def follow(
        self, topic: str, starts: Mapping[int, int]
    ) -> AsyncIterator[tuple[int, Sequence[Record]]]:
        """Yield the records of all partitions from ``starts`` on, without end."""
        tps = {TopicPartition(topic, number): offset for number, offset in starts.items()}
        self._consumer.assign(list(tps))
        for tp, offset in tps.items():
            self._consumer.seek(tp, offset)
        while True:
            for tp, chunk in (await fetch_changes(self._consumer, POLL_MS / 1000)).items():
                yield tp.partition, chunk.read

    async def committed(self, topic: str) -> dict[int, int]:
        """Return the group's committed offset of each partition, 0 where there is none.

        Raises AuditError if a transaction that changes one of them does not end, or if one is
        beyond the end of its partition.
        """
        found = await self._committed_by(self._group, topic)
        committed = {partition: offset for partition, (offset, _) in found.items()}
        ends = await self._log_ends.end_offsets([TopicPartition(topic, n) for n in committed])
        for tp, end in ends.items():
            if committed[tp.partition] > end:
                raise AuditError(
                    f"the offset of group {self._group} for {topic}-{tp.partition} is "
                    f"{committed[tp.partition]}, but the topic ends at {end}. Start a worker once: "
                    "it sets it"
                )
        return committed

    async def replayed(self, topic: str, reason: str) -> dict[int, Done]:
        """Return the replayed dead letters of a reason; raises like :meth:`committed`."""
        found = await self._committed_by(f"{self._group}-replay-{reason}", topic)
        return {partition: Done.read(*stored) for partition, stored in found.items()}

    async def _committed_by(self, group: str, topic: str) -> dict[int, tuple[int, str]]:
        offsets: dict[int, tuple[int, str]] = {}
        missing = set(await self.partitions(topic))
        patience = _Patience(f"the offsets of group {group}")
        while True:
            try:
                offsets |= await stable_offsets(self._admin, group, topic, missing)
            except GroupAuthorizationFailedError as exc:
                raise AuditError(needed([f"Describe on group {group}"])) from exc
            missing -= offsets.keys()
            if not missing:
                return offsets
            await patience.rest()

    async def read(
        self, topic: str, partition: int, start: int, end: int
    ) -> AsyncIterator[Sequence[Record]]:
        """Yield the records of one partition with offsets from ``start`` to before ``end``.

        Raises AuditError if the partition ends before that.
        """
        tp = TopicPartition(topic, partition)
        self._consumer.assign([tp])
        self._consumer.seek(tp, start)
        try:
            async for chunk in fetch_up_to(self._consumer, tp, end):
                yield chunk.before(end).read
        except RecordsLostError as exc:
            raise AuditError(str(exc)) from exc

    async def replay(
        self, topic: str, partition: int, values: SpillMap, layout: StoreFormat
    ) -> bytes | None:
        """Read the last value of each key of one partition into ``values``.

        Returns:
            The partition's layout record, None without one.

        Raises:
            AuditError: the changelog has a row that no worker wrote.
        """
        stored, changelog = None, TP(topic, partition)

        async def stable_end() -> int:
            return (await self.ends(topic))[partition]

        try:
            async for chunk in read_changes(self._consumer, changelog, layout, stable_end):
                stored = chunk.changes.get(LAYOUT_KEY, stored)
                for key, value in chunk.changes.items():
                    if key not in {None, LAYOUT_KEY} and not is_sealed_key(key):
                        values.put(id_key(int(key)), value)
        except ChangelogError as exc:
            raise AuditError(str(exc)) from exc
        return stored


class _Patience:
    """Waits for transactions to end, for a limited time."""

    def __init__(self, what: str) -> None:
        """Begin to wait for transactions on ``what``."""
        self._what = what
        self._deadline = asyncio.get_running_loop().time() + TRANSACTION_TIMEOUT_S

    async def rest(self) -> None:
        """Wait until the next check, or raise AuditError."""
        if asyncio.get_running_loop().time() >= self._deadline:
            raise AuditError(
                f"a transaction that wrote to {self._what} has not ended for "
                f"{TRANSACTION_TIMEOUT_S:.0f} s"
            )
        await asyncio.sleep(LOOK_DELAY_S)
