"""Moves the rows of all tables.

1. **begin**: one transaction marks each new partition as unfinished; no worker accepts it
2. **move**: each record of the old changelogs goes to the new partition of its key. Records of a
   key keep their order, because each app has them in one partition
3. **end**: one transaction writes the layout record of each new partition (stream time, positions)
   and the group's offsets. The tables are valid from then on

After a kill, the next run finds valid tables or starts over. Both runs have the same transactional
id: the later one fences the earlier one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from faust.types import TP

from models.moved import later, parents
from models.partitioner import murmur2_partitions
from streaming.restore.committed import read_changes
from tables.layout import LAYOUT_KEY, Position, StoreFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, Protocol

    from aiokafka import AIOKafkaConsumer

    from rescaling.cut import Cut
    from rescaling.sides import MovedTable, Sides
    from streaming.kafka.metadata import TopicMetadata
    from streaming.kafka.producer import TransactionalProducer
    from tables.layers import Layer

    class Progress(Protocol):
        """Receives the progress of a move, in records."""

        def begin(self, what: str, total: int) -> None:
            """Start the next step."""

        def advance(self, count: int) -> None:
            """Report more records of the current step."""


#: Rows per transaction, about. Its end costs a round trip to each partition, whatever its size.
ROWS_PER_TRANSACTION = 100_000

Rows = dict["bytes | None", "bytes | None"]


class Part(NamedTuple):
    """Some rows of one old partition."""

    table: MovedTable
    rows: Rows
    shifts: Mapping[int, int]
    """By new partition: how many ms its stream time is later than the old one's."""


class Mover:
    """Moves the rows of all tables."""

    def __init__(
        self,
        sides: Sides,
        cut: Cut,
        consumer: AIOKafkaConsumer,
        producer: TransactionalProducer,
        new_layer: Callable[[], Layer],
        progress: Progress,
    ) -> None:
        """Read with ``consumer``, and write with ``producer``, which must be started.

        ``new_layer`` creates the layers that the producer sends.
        """
        self._sides = sides
        self._cut = cut
        self._consumer = consumer
        self._producer = producer
        self._new_layer = new_layer
        self._progress = progress
        self._sending: asyncio.Task[None] | None = None
        #: Rows that are read and not sent; those of a key in order.
        self._parts: list[Part] = []
        self._ids = {table.name: StoreFormat.moved_id(sides.old.app_id) for table in sides.tables}

    async def begin(self) -> None:
        """Mark all new partitions as unfinished."""
        await self._send_layouts(
            lambda table, _: table.new_format.encode_unfinished(self._ids[table.name]), {}
        )

    async def move(self) -> None:
        """Move all rows."""
        try:
            for table in self._sides.tables:
                times = self._cut.stream_times(table.name, self._sides.new.partitions)
                for number in range(self._sides.old.partitions):
                    await self._move(table, number, times)
            await self._flush()
            await self._sent()
        finally:
            if self._sending is not None:
                self._sending.cancel()
                await asyncio.gather(self._sending, return_exceptions=True)

    async def end(self, topics: Mapping[str, TopicMetadata], offsets: Mapping[TP, int]) -> None:
        """Complete the tables.

        Arguments:
            topics: the topics of the new app, and its input.
            offsets: the new group's initial offsets, for tools that watch the lag.
        """

        def layout(table: MovedTable, number: int) -> bytes:
            times = self._cut.stream_times(table.name, self._sides.new.partitions)
            positions = self.positions(table, number, topics)
            # A table that is not moved starts empty.
            feeds = self._cut.feeds(table.name) & self._ids.keys()
            return table.new_format.encode(
                *(times[number], self._ids[table.name], positions),
                *(feeds, self._cut.complete_from(table.name), self._cut.unit(table.name)),
            )

        await self._send_layouts(layout, offsets)

    def positions(
        self, table: MovedTable, number: int, topics: Mapping[str, TopicMetadata]
    ) -> dict[str, Position]:
        """Return the start positions of a new partition in its source topics."""
        sides, parts = self._sides, self._cut.parts[table.name]
        positions = {}
        for topic in {topic for part in parts for topic in part.positions}:
            name = sides.new_name(topic)
            at = 0
            if topic == sides.old.events_topic == name and number < len(parts):
                at = parts[number].positions[topic].offset
            positions[name] = Position(at, topics[name].id)
        return positions

    async def _send_layouts(
        self, layout: Callable[[MovedTable, int], bytes], offsets: Mapping[TP, int]
    ) -> None:
        async with self._producer.transaction() as transaction:
            for table in self._sides.tables:
                for number in range(self._sides.new.partitions):
                    values = self._new_layer()
                    values[LAYOUT_KEY] = layout(table, number)
                    await transaction.send_values(table.new_changelog, number, values)
            await transaction.delivered()
            if offsets:
                transaction.send_offsets(offsets)

    async def _move(self, table: MovedTable, number: int, times: Sequence[int | None]) -> None:
        changelog = TP(table.old_changelog, number)
        end = self._cut.ends[table.name][number]
        shifts, factor = self._shifts(table, number, times), self._factor(table, number)
        done: int | None = None
        async for chunk in read_changes(self._consumer, changelog, table.old_format):
            if done is None:
                done = chunk.read[0].offset
                self._progress.begin(f"{table.name}, partition {number}", end - done)
            chunk.changes.pop(LAYOUT_KEY, None)
            if factor != 1:
                renumber = table.old_format.windows.in_finer_units
                for key, row in chunk.changes.items():
                    chunk.changes[key] = row and renumber(row, factor)
            self._parts.append(Part(table, chunk.changes, shifts))
            if sum(len(part.rows) for part in self._parts) >= ROWS_PER_TRANSACTION:
                await self._flush()
            self._progress.advance(chunk.offset + 1 - done)
            done = chunk.offset + 1

    async def _flush(self) -> None:
        """Start to send the collected rows; the next ones are read meanwhile."""
        await self._sent()
        parts, self._parts = self._parts, []
        self._sending = asyncio.create_task(self._send(parts))

    def _factor(self, table: MovedTable, number: int) -> int:
        """Return the number of panes of the new table per pane of this partition."""
        return self._cut.parts[table.name][number].unit // self._cut.unit(table.name)

    async def _sent(self) -> None:
        """Wait for the current transaction."""
        sending, self._sending = self._sending, None
        if sending is not None:
            await sending

    def _shifts(
        self, table: MovedTable, number: int, times: Sequence[int | None]
    ) -> dict[int, int]:
        """Return, by new partition, how many ms its stream time is later than this one's."""
        if not table.has_ids:
            return {}
        time, before = self._cut.parts[table.name][number].stream_time, self._sides.old.partitions
        return {
            target: later - time
            for target, later in enumerate(times)
            if time is not None
            and later is not None
            and later > time
            and number in parents(target, before, len(times))
        }

    async def _send(self, parts: Sequence[Part]) -> None:
        if not parts:
            return
        async with self._producer.transaction() as transaction:
            for (changelog, target), values in self._split(parts):
                await transaction.send_values(changelog, target, values)

    def _split(self, parts: Sequence[Part]) -> Iterator[tuple[tuple[str, int], Any]]:
        """Yield each target changelog and partition with its rows."""
        new_layer, partitions = self._new_layer, self._sides.new.partitions
        layers: defaultdict[tuple[str, int], Any] = defaultdict(new_layer)
        for table, rows, shifts in parts:
            keys = [key for key in rows if key is not None]
            # The keys of sealed ids begin with the user's key.
            owners = [int(key.partition(b":")[0] if b":" in key else key) for key in keys]
            targets = murmur2_partitions(np.array(owners, dtype=np.uint64), partitions).tolist()
            by_target = {n: layers[table.new_changelog, n] for n in set(targets)}
            for key, target in zip(keys, targets, strict=True):
                row, shift = rows[key], shifts.get(target)
                by_target[target][key] = later(row, shift) if shift and row is not None else row
        yield from layers.items()
