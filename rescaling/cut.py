"""A consistent cut through the old app: the state of each partition of its tables.

Nothing is in flight between partitions: no worker runs, and the topics between tasks are read to
their ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from faust.types import TP

from models.moved import parents
from models.windows import format_duration
from rescaling.errors import RescaleError
from streaming.kafka.topic_ids import topic_ids
from streaming.restore.committed import last_layout
from tables.layout import LayoutError, Position

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import AIOKafkaConsumer

    from auditing.reading import Topics
    from rescaling.sides import MovedTable, Sides

ONCE_MORE = "start the workers again, wait until the lag is 0, and stop them"


class Part(NamedTuple):
    """One partition of one table."""

    stream_time: int | None
    positions: Mapping[str, Position]
    feeds: frozenset[str] = frozenset()
    complete_from: int = 0
    unit: int = 0
    """The unit in ms that panes are numbered by."""


class Cut(NamedTuple):
    """All partitions of all tables."""

    parts: Mapping[str, list[Part]]
    """Partitions by table, in order."""
    ends: Mapping[str, Mapping[int, int]]
    """End offsets of the changelogs, by table and partition."""
    records: int
    """Records in all changelogs, at most."""

    def stream_times(self, table: str, after: int) -> list[int | None]:
        """Return the stream time of each of ``after`` new partitions: the latest of its parents."""
        parts = self.parts[table]
        times = (
            [parts[p].stream_time for p in parents(q, len(parts), after)] for q in range(after)
        )
        return [max((t for t in each if t is not None), default=None) for each in times]

    def feeds(self, table: str) -> frozenset[str]:
        """Return the tables that got everything that ``table`` has counted, in all partitions."""
        counted = [part.feeds for part in self.parts[table] if part.stream_time is not None]
        return frozenset.intersection(*counted) if counted else frozenset()

    def complete_from(self, table: str) -> int:
        """Return the stream time in ms from which counts are complete in all partitions."""
        return max((part.complete_from for part in self.parts[table]), default=0)

    def unit(self, table: str) -> int:
        """Return the finest unit of a table's partitions; the others are multiples of it."""
        return min(part.unit for part in self.parts[table])


async def take_cut(topics: Topics, consumer: AIOKafkaConsumer, sides: Sides) -> Cut:
    """Read the state of the old app.

    Raises:
        RescaleError: records between tasks are not applied yet, or the state cannot be moved.
    """
    parts: dict[str, list[Part]] = {}
    ends: dict[str, Mapping[int, int]] = {}
    records = 0
    for table in sides.tables:
        found = len(await topics.partitions(table.old_changelog))
        if found != sides.old.partitions:
            raise RescaleError(
                f"the tables of {sides.old.app_id} have {found} partitions, but TOPIC_PARTITIONS "
                f"is {sides.old.partitions}: set TOPIC_PARTITIONS={found}, and give the new number "
                "as --partitions"
            )
        ends[table.name] = await topics.ends(table.old_changelog)
        begins = await topics.begins(table.old_changelog)
        records += sum(ends[table.name].values()) - sum(begins.values())
        parts[table.name] = [
            await _part(consumer, table, number) for number in range(sides.old.partitions)
        ]
    cut = Cut(parts, ends, records)
    await _check_positions(topics, consumer, sides, cut)
    return cut


async def _part(consumer: AIOKafkaConsumer, table: MovedTable, number: int) -> Part:
    stored = await last_layout(consumer, TP(table.old_changelog, number))
    try:
        time = table.old_format.stored_stream_time(table.old_changelog, stored)
    except LayoutError as exc:
        raise RescaleError(str(exc)) from exc
    positions = table.old_format.positions_of(stored)
    if not positions:
        raise RescaleError(
            f"partition {number} of {table.old_changelog} has no positions: {ONCE_MORE}"
        )
    table_format = table.old_format
    feeds, begun = table_format.feeds_of(stored), table_format.complete_from_of(stored)
    return Part(time, positions, feeds, begun, table_format.unit_of(stored))


async def _check_positions(
    topics: Topics, consumer: AIOKafkaConsumer, sides: Sides, cut: Cut
) -> None:
    old, waiting = sides.old, set()
    internal = sides.between_tasks
    sources = {topic for parts in cut.parts.values() for part in parts for topic in part.positions}
    ids = await topic_ids(consumer._client, sources)
    for topic in sorted(sources | internal):
        if topic != old.events_topic and topic not in internal:
            raise RescaleError(
                f"the tables were built from topic {topic}, but REELS_EVENTS_TOPIC is "
                f"{old.events_topic}: set it back"
            )
        ends, committed = await topics.ends(topic), await topics.committed(topic)
        for number in range(old.partitions):
            at = next(
                (
                    p[number].positions[topic]
                    for p in cut.parts.values()
                    if topic in p[number].positions
                ),
                Position(0, ""),
            )
            _check_topic(topic, number, at, ids.get(topic, ""), ends[number])
            if committed[number] > at.offset and await _has_records(
                topics, topic, number, at.offset, committed[number]
            ):
                raise RescaleError(
                    f"the group's offset of {topic}-{number} was moved ahead of the tables: "
                    f"{ONCE_MORE}"
                )
            if await _has_records(topics, topic, number, at.offset, ends[number]):
                if topic in internal or not sides.keeps_input:
                    raise RescaleError(f"not all events of {topic} are applied yet: {ONCE_MORE}")
                waiting.add(number)
    _check_lag(sides, cut, waiting)


def _check_topic(topic: str, number: int, at: Position, topic_id: str, end: int) -> None:
    if (at.topic_id and topic_id and at.topic_id != topic_id) or at.offset > end:
        raise RescaleError(
            f"the topic {topic} was recreated, or has lost records (partition {number}: "
            f"position {at.offset}, end {end}): start a worker, which says what to do"
        )


async def _has_records(topics: Topics, topic: str, number: int, start: int, end: int) -> bool:
    """Whether a record is in [start, end): transaction markers have offsets, too."""
    start = max(start, (await topics.begins(topic))[number])
    async for records in topics.read(topic, number, start, end):
        if records:
            return True
    return False


def _check_lag(sides: Sides, cut: Cut, waiting: set[int]) -> None:
    """Refuse if waiting events might be late by the stream time of merged partitions."""
    for table in (each for each in sides.tables if each.has_ids):
        parts, slices = cut.parts[table.name], table.old_format
        for number, time in enumerate(cut.stream_times(table.name, sides.new.partitions)):
            for parent in waiting.intersection(parents(number, len(parts), sides.new.partitions)):
                behind = (time or 0) - (parts[parent].stream_time or time or 0)
                if behind * 2 > slices.size:
                    minutes = format_duration(behind // 60_000 * 60_000)
                    raise RescaleError(
                        f"events wait in partition {parent} of {sides.old.events_topic}, "
                        f"{minutes} of event time behind others: in one partition with them, they "
                        f"could be late. Either {ONCE_MORE}, or choose a multiple of {len(parts)} "
                        "partitions"
                    )
