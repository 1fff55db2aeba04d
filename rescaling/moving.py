"""The rows, moved.

1. **begin**: each new partition gets a record that says that rows are missing, all in one
   transaction: no worker takes it for a table
2. **move**: each record of the old changelogs goes to the new partition of its key, in its order: a
   key lies in one partition on either side
3. **end**: each new partition gets its layout record: stream time and positions, and the group its
   offsets, all in one transaction. Before it nothing counts, after it everything is there

Whoever comes after a kill finds the tables whole, or begins anew. The transactional id lets one
run move at a time: a second one fences the first.
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
    from streaming.kafka.metadata import FoundTopic
    from streaming.kafka.producer import TransactionalProducer
    from tables.layers import Layer

    class Progress(Protocol):
        """Is told how far the move is, in records."""

        def begin(self, what: str, total: int) -> None:
            """Say what is done next."""

        def advance(self, count: int) -> None:
            """Say how much of it was done since."""


#: Rows of one transaction, about. Its end is a round trip to each partition, whatever it has.
ROWS_PER_TRANSACTION = 100_000

Rows = dict["bytes | None", "bytes | None"]


class Part(NamedTuple):
    """Some rows of one old partition."""

    table: MovedTable
    rows: Rows
    shifts: Mapping[int, int]
    """By how many ms each new partition's stream time is later than the old one's."""


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
        """Read through ``consumer``, and write through ``producer``, which is started.

        ``new_layer`` makes what the producer takes values from.
        """
        self._sides = sides
        self._cut = cut
        self._consumer = consumer
        self._producer = producer
        self._new_layer = new_layer
        self._progress = progress
        self._sending: asyncio.Task[None] | None = None
        #: Read, and not sent yet: a key's rows in their order.
        self._parts: list[Part] = []
        self._ids = {table.name: StoreFormat.moved_id(sides.old.app_id) for table in sides.tables}

    async def begin(self) -> None:
        """Say in all new partitions that rows are missing."""
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

    async def end(self, topics: Mapping[str, FoundTopic], offsets: Mapping[TP, int]) -> None:
        """Make the tables whole.

        Arguments:
            topics: the new app's, and its input.
            offsets: what the new group is to begin with, for tools that watch the lag.
        """

        def layout(table: MovedTable, number: int) -> bytes:
            times = self._cut.stream_times(table.name, self._sides.new.partitions)
            positions = self.positions(table, number, topics)
            # What is not moved along begins anew.
            feeds = self._cut.feeds(table.name) & self._ids.keys()
            return table.new_format.encode(
                *(times[number], self._ids[table.name], positions),
                *(feeds, self._cut.complete_from(table.name), self._cut.unit(table.name)),
            )

        await self._send_layouts(layout, offsets)

    def positions(
        self, table: MovedTable, number: int, topics: Mapping[str, FoundTopic]
    ) -> dict[str, Position]:
        """Return where a new partition begins in its source topics."""
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
        """Begin to send what is read: while the brokers end a transaction, the next rows are."""
        await self._sent()
        parts, self._parts = self._parts, []
        self._sending = asyncio.create_task(self._send(parts))

    def _factor(self, table: MovedTable, number: int) -> int:
        """Return how many of the new table's panes are as long as one of this partition's."""
        return self._cut.parts[table.name][number].unit // self._cut.unit(table.name)

    async def _sent(self) -> None:
        """Wait for the transaction that is under way."""
        sending, self._sending = self._sending, None
        if sending is not None:
            await sending

    def _shifts(
        self, table: MovedTable, number: int, times: Sequence[int | None]
    ) -> dict[int, int]:
        """Return by how many ms each new partition's stream time is later than this one's."""
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
        """Yield new partitions of changelogs, and the rows that go there."""
        new_layer, partitions = self._new_layer, self._sides.new.partitions
        layers: defaultdict[tuple[str, int], Any] = defaultdict(new_layer)
        for table, rows, shifts in parts:
            keys = [key for key in rows if key is not None]
            # The keys of a user's sealed ids begin with the user's.
            owners = [int(key.partition(b":")[0] if b":" in key else key) for key in keys]
            targets = murmur2_partitions(np.array(owners, dtype=np.uint64), partitions).tolist()
            by_target = {n: layers[table.new_changelog, n] for n in set(targets)}
            for key, target in zip(keys, targets, strict=True):
                row, shift = rows[key], shifts.get(target)
                by_target[target][key] = later(row, shift) if shift and row is not None else row
        yield from layers.items()
