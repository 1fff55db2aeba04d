"""Tables of sums (videos, creators): their content, and its recount."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import merge
from operator import add, attrgetter
from struct import Struct
from typing import TYPE_CHECKING, Any

from auditing.spill_map import pane_key, unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from auditing.spill_map import SpillMap
    from models.entity import Entity
    from models.event import Event
    from models.pane_windows import PaneWindows
    from tables.layout import StoreFormat


#: Panes whose counts are added up before they are stored.
OPEN_PANES = 50_000


@dataclass(frozen=True)
class SummedTable:
    """A table of sums."""

    name: str
    windows: PaneWindows[Any]
    layout: StoreFormat

    @property
    def entity(self) -> Entity[Any]:
        """The kind of its keys."""
        return self.windows.entity

    @property
    def kind(self) -> str:
        """Name of its keys in a report, such as ``videos``."""
        return self.entity.plural

    @property
    def sums_kind(self) -> str:
        """Name of the map with the recount, beside ``kind``."""
        return f"{self.entity.name}-sums"


class Sums:
    """The recount of a table, over all partitions of the input, by key and pane."""

    def __init__(self, table: SummedTable, values: SpillMap) -> None:
        """Begin empty; counts are stored in ``values``."""
        self.table = table
        self._values = values
        """By :func:`auditing.spill_map.pane_key`: certain counts, and possible additions."""
        self._open: dict[tuple[int, int], list[int]] = {}
        """The same by key and pane, to be added to the stored values."""
        self._step = table.windows.slices.step
        #: The key that an event counts for, None without one.
        self._key_of: Callable[[Event], int | None] = attrgetter(table.entity.key)
        self._width = len(table.entity.counters)
        self._counts = Struct(f"<{2 * self._width}Q")
        self._nothing = bytes(self._counts.size)

    def count(self, event: Event, t_ms: int, *, sure: bool) -> None:
        """Count an event, if it concerns the table."""
        entity, number = self.table.entity, self._key_of(event)
        if number is None or event.event_type not in entity.event_types:
            return
        key = number, t_ms // self._step
        counts = self._open.get(key)
        if counts is None:
            if len(self._open) == OPEN_PANES:
                self._store()
            counts = self._open[key] = [0] * (2 * self._width)
        first = 0 if sure else self._width
        for index, more in enumerate(entity.increments(event.event_type, event.metadata), first):
            counts[index] += more

    def _store(self) -> None:
        for (number, pane), counts in self._open.items():
            key = pane_key(number, pane)
            stored = self._counts.unpack(self._values.get(key) or self._nothing)
            self._values.put(key, self._counts.pack(*map(add, stored, counts)))
        self._open.clear()

    def stored(self) -> SpillMap:
        """Return all counts, by :func:`auditing.spill_map.pane_key`."""
        self._store()
        return self._values

    def bounds(self, key: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the least and the greatest possible counters of a stored key's pane."""
        counts = self._counts.unpack(self._values.get(key) or self._nothing)
        least, more = counts[: self._width], counts[self._width :]
        return least, tuple(map(add, least, more))

    def close(self) -> None:
        """Forget everything."""
        self._open.clear()
        self._values.close()


class JoinedSums:
    """The sums of several recounts of other partitions."""

    def __init__(self, parts: Sequence[Sums]) -> None:
        """Join ``parts``, at least one, all of the same table."""
        self.table = parts[0].table
        self._parts = parts

    def stored(self) -> Iterator[bytes]:
        """Return the keys of all counts in order, by :func:`auditing.spill_map.pane_key`."""
        return unique(merge(*(part.stored() for part in self._parts)))

    def bounds(self, key: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the least and the greatest possible counters of a stored key's pane."""
        bounds = [part.bounds(key) for part in self._parts]
        least, most = (
            tuple(map(sum, zip(*each, strict=True))) for each in zip(*bounds, strict=True)
        )
        return least, most

    def close(self) -> None:
        """Forget everything."""
        for part in self._parts:
            part.close()


@dataclass
class FoundTable:
    """The content of a table."""

    values: SpillMap
    times: dict[int, int] = field(default_factory=dict)
    """Stream time per partition, -1 without one."""
    complete_from: dict[int, int] = field(default_factory=dict)
    """The stream time from which counts are complete, by partition."""
    units: dict[int, int] = field(default_factory=dict)
    """The unit in ms that panes are numbered by, by partition."""
