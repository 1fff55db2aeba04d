"""One move: plan, run, and deletion of the old topics."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition
from faust.types import TP

from auditing.reading import open_topics
from rescaling.cut import take_cut
from rescaling.errors import RescaleError
from rescaling.moving import Mover
from rescaling.target import Target, add_partitions, delete, look, prepare
from streaming.kafka.metadata import Right, find_topics
from streaming.kafka.producer import TransactionalProducer
from streaming.kafka.rights import require_rights
from streaming.kafka.stopped_groups import require_stopped
from streaming.kafka.topic_limits import Limits
from streaming.kafka.topic_specs import topic_specs
from streaming.kafka.topics import admin_client, create_topics
from streaming.restore.changelog import changelog_consumer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping
    from typing import Any

    from aiokafka import AIOKafkaConsumer
    from aiokafka.admin import AIOKafkaAdminClient

    from auditing.reading import Topics
    from rescaling.cut import Cut
    from rescaling.moving import Progress
    from rescaling.sides import Sides
    from streaming.kafka.batch_writer import Pack
    from streaming.kafka.metadata import TopicMetadata
    from tables.layers import Layer

#: Records moved per second and bytes per record, both approximate, for the plan.
RECORDS_PER_SECOND, RECORD_BYTES = 100_000, 160


@dataclass(frozen=True)
class Plan:
    """The plan of a move."""

    sides: Sides
    target: Target
    input: TopicMetadata | None
    """The new app's input; None: it must be created."""
    cut: Cut | None
    """None: the tables are already moved."""

    @property
    def adds_partitions(self) -> bool:
        """Whether the input has fewer partitions than the new app."""
        return self.input is not None and self.input.partitions < self.sides.new.partitions

    def lines(self, *, alters_input: bool) -> list[str]:
        """Return the plan as lines of text."""
        old, new = self.sides.old, self.sides.new
        lines = [
            f"from: {old.app_id}, {old.partitions} partitions",
            f"to:   {new.app_id}, {new.partitions} partitions ({self.target.value})",
        ]
        if self.cut is not None:
            records, copies = self.cut.records, new.replication_factor
            size, tables = records * RECORD_BYTES / 1e6, self.sides.tables
            disk = f"about {size:,.0f} MB in each of {copies} copies at the brokers"
            lines += [
                f"read: {_names(each.old_changelog for each in tables)}: up to {records:,} records",
                f"write: {_names(each.new_changelog for each in tables)}: as many, {disk}",
                f"time: about {records / RECORDS_PER_SECOND:,.0f} s",
            ]
        if self.input is None:
            lines.append(f"input: {new.events_topic} is created with {new.partitions} partitions")
        elif self.adds_partitions:
            has = f"input: {new.events_topic} ({self.input.partitions} partitions)"
            lines.append(
                f"{has} gets {new.partitions} partitions"
                if alters_input
                else f"{has} needs {new.partitions} partitions, which --alter-input gives it"
            )
        return lines


def _names(topics: Iterable[str]) -> str:
    return ", ".join(topics)


class Rescale:
    """Moves the tables of one app to another."""

    def __init__(
        self,
        sides: Sides,
        client_settings: Mapping[str, Any],
        new_layer: Callable[[], Layer],
        pack: Pack,
        progress: Progress,
    ) -> None:
        """Use aiokafka's ``client_settings``; methods connect when they are called.

        ``pack`` builds record batches from the layers of ``new_layer``.
        """
        self._sides = sides
        self._settings = client_settings
        self._new_layer = new_layer
        self._pack = pack
        self._progress = progress

    @asynccontextmanager
    async def _connected(
        self,
    ) -> AsyncIterator[tuple[AIOKafkaAdminClient, Topics, AIOKafkaConsumer]]:
        async with (
            admin_client(self._settings) as admin,
            open_topics(self._settings, self._sides.old.app_id) as topics,
            changelog_consumer(self._settings) as consumer,
        ):
            yield admin, topics, consumer

    async def plan(self) -> Plan:
        """Check both apps without changes, and return the plan.

        Raises:
            RescaleError, StartError, AuditError: the move is impossible; the text is one line.
        """
        async with self._connected() as (admin, topics, consumer):
            return await self._plan(admin, topics, consumer)

    async def _plan(
        self, admin: AIOKafkaAdminClient, topics: Topics, consumer: AIOKafkaConsumer
    ) -> Plan:
        sides = self._sides
        old, new = sides.old, sides.new
        await topics.require({name: {Right.READ} for name in sides.read_topics()})
        await require_rights(admin, {}, group=new.app_id)
        await require_stopped(admin, old.app_id, new.app_id)
        source = (await find_topics(admin, [new.events_topic])).topics.get(new.events_topic)
        if source is None and sides.keeps_input:
            raise RescaleError(f"topic {new.events_topic} does not exist: has a worker run yet?")
        if source is not None and source.partitions > new.partitions:
            raise RescaleError(
                f"the input {new.events_topic} has {source.partitions} partitions, and Kafka "
                f"cannot remove any: choose at least {source.partitions}, or another input with "
                "--to-events-topic"
            )
        target = await look(admin, consumer, sides)
        cut = None if target is Target.WHOLE else await take_cut(topics, consumer, sides)
        return Plan(sides, target, source, cut)

    async def run(self, *, alters_input: bool) -> None:
        """Move the tables, or finish what an earlier run left.

        Raises:
            RescaleError, StartError, AuditError: the new tables are not valid; or they are, and the
                input did not get its partitions.
            TransactionFailedError: the brokers refused the rows; the new tables are not valid.
        """
        new = self._sides.new
        async with self._connected() as (admin, topics, consumer):
            plan = await self._plan(admin, topics, consumer)
            if plan.adds_partitions and alters_input:
                await require_rights(admin, {new.events_topic: {Right.ALTER}})
            if plan.cut is not None:
                await self._move(plan, plan.cut, admin, topics, consumer)
            if plan.adds_partitions and alters_input:
                await add_partitions(admin, new.events_topic, new.partitions)
            await self._name_offsets(admin)

    async def _move(
        self,
        plan: Plan,
        cut: Cut,
        admin: AIOKafkaAdminClient,
        topics: Topics,
        consumer: AIOKafkaConsumer,
    ) -> None:
        sides = self._sides
        if plan.input is None:
            specs = topic_specs(sides.new, ())
            await create_topics(admin, specs[:1], sides.new.replication_factor)
        limits = Limits(self._settings, [spec.name for spec in sides.new_specs()])
        producer = self._producer(limits)
        # Before anything is deleted: it fences an earlier run that still moves rows.
        await producer.start()
        try:
            found = await prepare(admin, sides, plan.target)
            found |= (await find_topics(admin, [sides.new.events_topic])).topics
            if sides.new.events_topic not in found:
                raise RescaleError(
                    "the brokers do not know the new input yet: run the command again"
                )
            # Before the move: a missing right would otherwise fail it at its end.
            await require_rights(admin, sides.new_rights())
            await limits.refresh()
            mover = Mover(sides, cut, consumer, producer, self._new_layer, self._progress)
            await mover.begin()
            await mover.move()
            await self._check_unchanged(cut, admin, topics)
            await mover.end(found, self._offsets(cut, found))
        finally:
            await producer.stop()

    def _producer(self, limits: Limits) -> TransactionalProducer:
        app_id = self._sides.new.app_id
        return TransactionalProducer(
            f"{app_id}-rescale", app_id, self._settings, None, self._pack, limits
        )

    async def _check_unchanged(self, cut: Cut, admin: AIOKafkaAdminClient, topics: Topics) -> None:
        """Refuse to end a move if the old changelogs have changed meanwhile."""
        await require_stopped(admin, self._sides.old.app_id)
        for table in self._sides.tables:
            if await topics.ends(table.old_changelog) != cut.ends[table.name]:
                raise RescaleError(
                    f"workers of {self._sides.old.app_id} ran meanwhile: stop them, and run the "
                    "command again; it starts over"
                )

    def _offsets(self, cut: Cut, topics: Mapping[str, TopicMetadata]) -> dict[TP, int]:
        """Return the group's initial offsets in partitions that already exist."""
        sides, offsets = self._sides, {}
        for parts in cut.parts.values():
            for topic in {topic for part in parts for topic in part.positions}:
                name = sides.new_name(topic)
                for number in range(min(topics[name].partitions, sides.new.partitions)):
                    is_kept = topic == sides.old.events_topic == name and number < len(parts)
                    at = parts[number].positions[topic].offset if is_kept else 0
                    offsets[TP(name, number)] = at
        return offsets

    async def _name_offsets(self, admin: AIOKafkaAdminClient) -> None:
        """Commit offset 0 for the new group in partitions that were added to the input."""
        new, old = self._sides.new, self._sides.old
        source = (await find_topics(admin, [new.events_topic])).topics[new.events_topic]
        known = await admin.list_consumer_group_offsets(new.app_id)
        added = range(old.partitions, min(source.partitions, new.partitions))
        offsets = {
            TP(source.name, number): 0
            for number in added
            if TopicPartition(source.name, number) not in known
        }
        if offsets:
            producer = self._producer(Limits())
            await producer.start()
            try:
                async with producer.transaction() as transaction:
                    transaction.send_offsets(offsets)
            finally:
                await producer.stop()

    async def delete_old(self) -> list[str]:
        """Delete the topics of the old app if the new tables are valid; return their names.

        Raises:
            RescaleError: the new tables are not valid, or the input has too few partitions.
            StartError: a worker of the old app runs, or a right is missing.
        """
        sides = self._sides
        async with admin_client(self._settings) as admin:
            await require_rights(admin, sides.deletion_rights())
            await require_stopped(admin, sides.old.app_id)
            async with changelog_consumer(self._settings) as consumer:
                target = await look(admin, consumer, sides)
            source = (await find_topics(admin, [sides.new.events_topic])).topics
            has_all = all(each.partitions == sides.new.partitions for each in source.values())
            if target is not Target.WHOLE or not has_all:
                raise RescaleError(
                    f"the tables of {sides.old.app_id} are not moved to {sides.new.app_id} yet: "
                    "run the command without --delete-old first"
                )
            return await delete(admin, sides.old_topics())
