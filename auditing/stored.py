"""The content of tables, read from their changelogs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from auditing.errors import AuditError
from auditing.summed import FoundTable
from models.windows import to_iso
from tables.layout import LayoutError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditing.parts import Names, Progress
    from auditing.reading import Topics
    from auditing.report import Report
    from auditing.spill_map import SpillMap
    from auditing.summed import SummedTable
    from tables.layout import Position, StoreFormat

#: Seconds for workers to apply the existing deltas, and between two checks.
DELTAS_TIMEOUT_S, DELTAS_POLL_S = 10.0, 0.25


class Stored(NamedTuple):
    """The content of a layout record."""

    stream_time: int | None
    positions: Mapping[str, Position]
    complete_from: int
    unit: int


async def read_partition(
    topics: Topics, changelog: str, partition: int, values: SpillMap, layout: StoreFormat
) -> Stored:
    """Read a table's partition into ``values``, and return the content of its layout record.

    Raises:
        AuditError: it has another layout, or a row that no worker wrote.
    """
    stored = await topics.replay(changelog, partition, values, layout)
    try:
        return Stored(
            layout.stored_stream_time(changelog, stored),
            layout.positions_of(stored) or {},
            layout.complete_from_of(stored),
            layout.unit_of(stored),
        )
    except LayoutError as exc:
        raise AuditError(str(exc)) from exc


class StoredTables:
    """Reads the tables of sums."""

    def __init__(self, topics: Topics, names: Names, report: Report, progress: Progress) -> None:
        """Read ``topics``; ``report`` gets notes about the limits of the comparison."""
        self._topics = topics
        self._names = names
        self._report = report
        self._progress = progress

    async def wait_for_deltas(self, table: SummedTable) -> bool:
        """Wait until a table has applied all deltas, or note that it has not."""
        topic = self._names.deltas[table.name]
        ends = await self._topics.ends(topic)
        deadline = asyncio.get_running_loop().time() + DELTAS_TIMEOUT_S
        while waiting := await self._unread(topic, ends):
            if asyncio.get_running_loop().time() >= deadline:
                self._report.notes.append(
                    f"{waiting} {table.entity.name} deltas are not applied yet: is a worker "
                    f"running? {table.kind.capitalize()} are checked only for counts "
                    "that are too high"
                )
                return False
            await asyncio.sleep(DELTAS_POLL_S)
        return True

    async def _unread(self, topic: str, ends: dict[int, int]) -> int:
        committed, begins = await self._topics.committed(topic), await self._topics.begins(topic)
        count = 0
        for partition, end in ends.items():
            start = max(committed[partition], begins[partition])
            # Offsets alone do not suffice: transactions leave markers after the last record.
            async for records in self._topics.read(topic, partition, start, end):
                count += len(records)
        return count

    async def read(self, table: SummedTable, values: SpillMap, partitions: int) -> FoundTable:
        """Read all partitions of a table into ``values``, and return its content."""
        found = FoundTable(values)
        self._progress.begin(f"table {table.name}", partitions)
        changelog = self._names.changelogs[table.name]
        for partition in range(partitions):
            stored = await read_partition(self._topics, changelog, partition, values, table.layout)
            found.times[partition] = -1 if stored.stream_time is None else stored.stream_time
            found.complete_from[partition] = stored.complete_from
            found.units[partition] = stored.unit
            self._progress.advance(1)
        if latest := max(found.complete_from.values(), default=0):
            self._report.notes.append(
                f"{table.kind} are counted from {to_iso(latest)} on: earlier events are not judged"
            )
        return found
