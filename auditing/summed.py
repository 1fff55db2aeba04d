"""Tables of sums (videos, creators): their content, and its recount."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import add, attrgetter
from struct import Struct
from typing import TYPE_CHECKING, Any

from auditing.spill_map import pane_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditing.spill_map import SpillMap
    from models.entity import Entity
    from models.event import Event
    from models.pane_windows import PaneWindows
    from tables.layout import StoreFormat


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
        self.values = values
        """By :func:`auditing.spill_map.pane_key`: certain counts, and possible additions."""
        self.table = table
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
        key = pane_key(number, t_ms // self._step)
        increments = entity.increments(event.event_type, event.metadata)
        more = increments + entity.nothing if sure else entity.nothing + increments
        counts = self._counts.unpack(self.values.get(key) or self._nothing)
        self.values.put(key, self._counts.pack(*map(add, counts, more)))

    def bounds(self, key: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the least and the greatest possible counters of a key's pane."""
        counts = self._counts.unpack(self.values.get(key) or self._nothing)
        least, more = counts[: self._width], counts[self._width :]
        return least, tuple(map(add, least, more))


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
