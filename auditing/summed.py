"""The tables that are sent sums by the users' tasks: what they say, and what the input says."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import add
from struct import Struct
from typing import TYPE_CHECKING, Any

from auditing.values import pane_key
from models.counters import CREATOR, VIDEO
from tables import creators, videos

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from auditing.values import Values
    from models.entity import Entity
    from models.event import Event
    from models.pane_windows import PaneWindows
    from settings import Settings
    from tables.layout import StoreFormat


@dataclass(frozen=True)
class SummedTable:
    """A table of sums."""

    name: str
    what: str
    """One of its keys: ``video``."""
    entity: Entity[Any]
    windows: PaneWindows[Any]
    layout: StoreFormat
    key_of: Callable[[Event], int | None]
    """The key that an event counts for, None when it counts for none."""

    @property
    def kind(self) -> str:
        """Its keys, as a report calls them."""
        return f"{self.what}s"


def summed_tables(settings: Settings, names: Iterable[str]) -> list[SummedTable]:
    """Return the tables of sums among those with these names."""
    of_videos, of_creators = videos.video_windows(settings), creators.creator_windows(settings)
    partitions = settings.partitions
    tables = [
        SummedTable(
            *(videos.NAME, "video", VIDEO, of_videos),
            videos.video_layout(of_videos, partitions=partitions),
            lambda event: event.video_id,
        ),
        SummedTable(
            *(creators.NAME, "creator", CREATOR, of_creators),
            creators.creator_layout(of_creators, partitions=partitions),
            lambda event: event.creator_id,
        ),
    ]
    known = set(names)
    return [table for table in tables if table.name in known]


class Sums:
    """What all partitions of the input together count of each key and pane of a table."""

    def __init__(self, table: SummedTable, values: Values) -> None:
        """Begin with nothing, and keep it in ``values``."""
        self.values = values
        """By :func:`auditing.values.pane_key`: what is sure, and what may come on top of it."""
        self.table = table
        self._step = table.windows.slices.step
        self._width = len(table.entity.counters)
        self._counts = Struct(f"<{2 * self._width}Q")
        self._nothing = bytes(self._counts.size)

    def count(self, event: Event, t_ms: int, *, sure: bool) -> None:
        """Count an event, if it is one that the table counts."""
        entity, number = self.table.entity, self.table.key_of(event)
        if number is None or event.event_type not in entity.event_types:
            return
        key = pane_key(number, t_ms // self._step)
        increments = entity.increments(event.event_type, event.metadata)
        more = increments + entity.nothing if sure else entity.nothing + increments
        counts = self._counts.unpack(self.values.get(key) or self._nothing)
        self.values.put(key, self._counts.pack(*map(add, counts, more)))

    def bounds(self, key: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the least and the most that the table may have of a key's pane."""
        counts = self._counts.unpack(self.values.get(key) or self._nothing)
        least, more = counts[: self._width], counts[self._width :]
        return least, tuple(map(add, least, more))


@dataclass
class FoundTable:
    """What a table says."""

    values: Values
    times: dict[int, int] = field(default_factory=dict)
    """The stream time of each partition, -1 where it has none."""
    complete_from: dict[int, int] = field(default_factory=dict)
    """From which stream time on all is counted, by partition."""
