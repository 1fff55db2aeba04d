"""Rewriting a changelog that was deleted or lost records, from the copy on a disk.

Until the last transaction, the layout record says that rows are missing: no worker accepts it, and
a run that was killed is repeated. Each partition is locked as if a worker opened it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from aiokafka.structs import TopicPartition
from faust.types import TP

from streaming.kafka.metadata import Right
from streaming.kafka.producer import TransactionalProducer
from streaming.kafka.records import OutRecord
from streaming.kafka.rights import require_rights
from streaming.kafka.stopped_groups import require_stopped
from streaming.kafka.topic_ids import topic_ids
from streaming.kafka.topics import admin_client
from streaming.restore.changelog import changelog_consumer
from streaming.restore.committed import last_layout
from tables.layout import LAYOUT_KEY, StoreFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka import AIOKafkaConsumer

    from tables.layout import Position
    from tables.rocks import RocksStore

#: Rows per transaction.
ROWS_PER_TRANSACTION: Final = 5000


class Copy(NamedTuple):
    """One partition of a table on this disk."""

    changelog: TP
    store: RocksStore


class RowVerdict(Enum):
    """The relation of a changelog to the copy."""

    IN_ORDER = "in order"
    WRITTEN = "rewritten"
    ADOPTED = "written by an earlier run"
    FOREIGN = "holds another table: not overwritten"
    BEHIND = (
        "the copy disagrees with the group's offsets: a later one may be on another worker's disk"
    )


class Progress(Protocol):
    """Receives the progress, in rows."""

    def begin(self, what: str, total: int) -> None:
        """Start the next step."""

    def advance(self, count: int) -> None:
        """Report more rows of the current step."""


class ChangelogWriter:
    """Writes an app's changelogs from copies on a disk that no worker uses."""

    def __init__(self, app_id: str, client_settings: Mapping[str, Any], progress: Progress) -> None:
        """Connect with aiokafka's ``client_settings`` once :meth:`run` is called."""
        self._app_id = app_id
        self._settings = client_settings
        self._progress = progress

    async def run(self, copies: Sequence[Copy], *, even_behind: bool) -> dict[TP, RowVerdict]:
        """Write lost changelogs, and return the verdict on each.

        Arguments:
            copies: the copies of partitions on this disk.
            even_behind: also write a copy whose positions differ from the group's offsets.

        Raises:
            StartError: workers of the app are running, or a right is missing.
            TransactionFailedError: the brokers did not accept the records; run it again.
        """
        offsets = await self._group_offsets(copies)
        verdicts: dict[TP, RowVerdict] = {}
        async with changelog_consumer(self._settings) as consumer:
            for copy in copies:
                verdict = await self._judge(consumer, copy)
                if verdict is RowVerdict.WRITTEN:
                    if even_behind or _stands_at(copy, offsets):
                        await self._write(consumer, copy)
                    else:
                        verdict = RowVerdict.BEHIND
                verdicts[copy.changelog] = verdict
        return verdicts

    async def _group_offsets(self, copies: Sequence[Copy]) -> dict[TP, int]:
        sources = {topic for copy in copies for topic in _positions(copy)}
        async with admin_client(self._settings) as admin:
            # Brokers return offsets only with the right Describe on the topic.
            await require_rights(admin, {topic: {Right.DESCRIBE} for topic in sources})
            await require_stopped(admin, self._app_id)
            found = await admin.list_consumer_group_offsets(self._app_id)
        return {TP(*tp): stored.offset for tp, stored in found.items()}

    async def _judge(self, consumer: AIOKafkaConsumer, copy: Copy) -> RowVerdict:
        tp, store = TopicPartition(*copy.changelog), copy.store
        is_other = _is_other(await _topic_id(consumer, copy), copy)
        end = (await consumer.end_offsets([tp]))[tp]
        here, there = store.get(LAYOUT_KEY), await last_layout(consumer, copy.changelog)
        is_beyond = is_other or (store.offset or 0) >= end
        if here is None:
            # A restore of this copy did not end.
            return RowVerdict.BEHIND if is_beyond else RowVerdict.IN_ORDER
        if StoreFormat.is_rewriting(here) or StoreFormat.is_rewriting(there):
            return await self._judge_unfinished(consumer, copy, there)
        if not is_beyond:
            return RowVerdict.IN_ORDER
        if there is not None and StoreFormat.id_of(there) != StoreFormat.id_of(here):
            return RowVerdict.FOREIGN
        if there is not None and is_other:
            await self._adopt(consumer, copy)
            return RowVerdict.ADOPTED
        return RowVerdict.WRITTEN

    async def _judge_unfinished(
        self, consumer: AIOKafkaConsumer, copy: Copy, there: bytes | None
    ) -> RowVerdict:
        """Judge a changelog that a run began to write, from this disk or from another."""
        here = _layout(copy)
        mine = {StoreFormat.id_of(here), StoreFormat.former_id_of(here)}
        theirs = {StoreFormat.id_of(there), StoreFormat.former_id_of(there) or None}
        if there is not None and not mine & theirs - {None}:
            return RowVerdict.FOREIGN
        is_complete = there is not None and not StoreFormat.is_rewriting(there)
        if is_complete and StoreFormat.id_of(there) == StoreFormat.id_of(here):
            await self._adopt(consumer, copy)
            return RowVerdict.ADOPTED
        return RowVerdict.WRITTEN

    async def _adopt(self, consumer: AIOKafkaConsumer, copy: Copy) -> None:
        """Let workers read a complete changelog from its beginning."""
        tp, store, layout = TopicPartition(*copy.changelog), copy.store, _layout(copy)
        begin = (await consumer.beginning_offsets([tp]))[tp]
        if StoreFormat.is_rewriting(layout):
            store.write({LAYOUT_KEY: StoreFormat.rewritten(layout)}, begin - 1)
        store.set_changelog_id(await _topic_id(consumer, copy), begin - 1)

    async def _write(self, consumer: AIOKafkaConsumer, copy: Copy) -> None:
        (topic, partition), store = copy.changelog, copy.store
        topic_id = await _topic_id(consumer, copy)
        marker = await self._marker(consumer, copy, topic_id)
        # On this disk, too: until the end, no worker accepts the table.
        store.write({LAYOUT_KEY: marker}, store.offset or 0)
        name = f"{self._app_id}-{partition}"
        producer = TransactionalProducer(name, self._app_id, self._settings)
        self._progress.begin(f"{topic}, partition {partition}", store.estimated_keys)
        layout = StoreFormat.rewritten(marker)
        await producer.start()
        try:
            after: bytes | None = None
            while rows := list(store.items(after, ROWS_PER_TRANSACTION)):
                await _send(producer, copy.changelog, [*rows, (LAYOUT_KEY, marker)])
                after = rows[-1][0]
                self._progress.advance(len(rows))
            await _send(producer, copy.changelog, [(LAYOUT_KEY, layout)])
        finally:
            await producer.stop()
        tp = TopicPartition(*copy.changelog)
        last = (await consumer.end_offsets([tp]))[tp] - 1
        store.write({LAYOUT_KEY: layout}, last)
        store.set_changelog_id(topic_id, last)

    async def _marker(self, consumer: AIOKafkaConsumer, copy: Copy, topic_id: str) -> bytes:
        """Return the layout record to write until the last transaction."""
        here, there = _layout(copy), await last_layout(consumer, copy.changelog)
        if StoreFormat.is_rewriting(here):
            return here
        table_id = StoreFormat.id_of(here) or ""
        if StoreFormat.is_rewriting(there):
            table_id = StoreFormat.id_of(there) or ""
        elif not _is_other(topic_id, copy):
            # Other copies may have read records that the changelog has lost: they are built anew.
            table_id = StoreFormat.renewed_id(here)
        return StoreFormat.rewriting(here, table_id)


async def _topic_id(consumer: AIOKafkaConsumer, copy: Copy) -> str:
    topic = copy.changelog.topic
    return str((await topic_ids(consumer._client, [topic])).get(topic, ""))


def _is_other(topic_id: str, copy: Copy) -> bool:
    known = copy.store.changelog_id
    return bool(topic_id and known and topic_id != known)


def _layout(copy: Copy) -> bytes:
    layout = copy.store.get(LAYOUT_KEY)
    assert layout is not None  # noqa: S101 - judged before
    return layout


async def _send(
    producer: TransactionalProducer, to: TP, rows: Sequence[tuple[bytes, bytes | None]]
) -> None:
    async with producer.transaction() as transaction:
        await transaction.send_records(
            to.topic, to.partition, [OutRecord(key, value) for key, value in rows]
        )
        await transaction.delivered()


def _positions(copy: Copy) -> Mapping[str, Position]:
    return StoreFormat.positions_of(copy.store.get(LAYOUT_KEY)) or {}


def _stands_at(copy: Copy, offsets: Mapping[TP, int]) -> bool:
    """Whether the group's offsets equal the copy's positions."""
    positions = _positions(copy)
    partition = copy.changelog.partition
    return bool(positions) and all(
        offsets.get(TP(topic, partition)) == position.offset
        for topic, position in positions.items()
    )
