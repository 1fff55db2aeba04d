"""Windowed counters of a key, packed into one value: the base of all tables that receive sums.

Little-endian, unpadded:

    header: u8 version, and in some tables more data of the key
    pane rows, newest last: u32 pane, and the counters of the table's entity

All windows are sums of the same panes. Times are milliseconds. accelerator.deltas is the compiled
form for the usual deltas. Panes are numbered by a unit of time, as in users' values: see
models.user.UserWindows.in_units.
"""

import struct
from copy import copy
from typing import Any, Final, Generic, Self, TypeVar

from models.entity import Entity
from models.errors import CodecError
from models.windows import Slices, units_of

C = TypeVar("C", bound=tuple[Any, ...])

_unpack_pane: Final = struct.Struct("<I").unpack_from


#: Header of a table that stores only panes per key.
HEADER_FORMAT: Final = "<B"


class PaneWindows(Generic[C]):
    """The functions on the values of one table for one window."""

    __slots__ = (
        "_header_size",
        "_panes",
        "_rows",
        "_step",
        "_views",
        "empty",
        "entity",
        "per_step",
        "slices",
        "unit",
    )

    def __init__(self, entity: Entity[C], slices: Slices, empty: bytes | None = None) -> None:
        """Bind the entity, the window, and the header of a new value (None: only the version).

        Values number their panes by the step; see :meth:`in_units`.
        """
        self.entity = entity
        self.empty = struct.pack(HEADER_FORMAT, entity.version) if empty is None else empty
        self.slices = slices
        self.unit, self.per_step = slices.step, 1
        self._header_size = len(self.empty)
        self._rows = entity.rows
        self._step = slices.step
        self._panes = slices.panes
        self._views = 1 + list(entity.counters).index("views")

    def in_units(self, unit_ms: int) -> Self:
        """Return the functions on values whose panes are numbered by another unit of time."""
        if unit_ms == self.unit:
            return self
        other = copy(self)
        other.unit, other.per_step = unit_ms, units_of(self.slices, unit_ms)
        return other

    def in_steps(self, row: bytes) -> bytes:
        """Renumber a row's panes by the step."""
        if self.per_step == 1:
            return row
        size, rows = self._header_size, self.entity.rows_of(row[0])
        return row[:size] + rows.coarser(row[size:], self.per_step)

    def in_finer_units(self, row: bytes, factor: int) -> bytes:
        """Renumber a row's panes by a unit that is ``factor`` times shorter."""
        if factor == 1:
            return row
        size, rows = self._header_size, self.entity.rows_of(row[0])
        return row[:size] + rows.finer(row[size:], factor)

    def rows_of(self, value: bytes | None) -> bytes:
        """Return the pane rows of a value in the newest layout, numbered by the step.

        Raises CodecError if the version is unknown.
        """
        rows = self._renewed(value)[self._header_size :]
        return rows if self.per_step == 1 else self._rows.coarser(rows, self.per_step)

    def _renewed(self, value: bytes | None) -> bytes:
        """Convert a value to the newest layout; without a value return an empty one."""
        if not value:
            return self.empty
        if value[0] == self.empty[0]:
            return value
        rows = rows_in(value, self.entity, self._header_size)
        return self.empty[:1] + value[1 : self._header_size] + rows

    def apply(
        self,
        value: bytes | None,
        pane: int,
        counts: tuple[int, ...],
        stream_time_ms: int,
    ) -> bytes:
        """Return the value with counts added to one pane, and without panes of closed windows.

        The pane is numbered by the step. Counts for a pane of a closed window are dropped as well.
        The result may have no panes, only the header.
        """
        per_step = self.per_step
        first_pane, pane = self.slices.kept_from(stream_time_ms) * per_step, pane * per_step
        value = self._renewed(value)
        header, rows = value[: self._header_size], value[self._header_size :]
        rows = self._rows.whole_steps(rows, per_step)
        if rows and _unpack_pane(rows)[0] < first_pane:
            rows = self._rows.drop_before(rows, first_pane)
        if pane >= first_pane:
            rows = self._rows.add(rows, pane, *counts)
        return header + rows

    def rolling(self, value: bytes | None, t_ms: int, size_ms: int | None = None) -> C:
        """Return the counts of the hopping window at a time; sizes are multiples of the step."""
        return self._counts(value, *self.slices.window_at(t_ms, size_ms))

    def _counts(self, value: bytes | None, first: int, end: int) -> C:
        return self.entity.total(self.rows_of(value), first, end, self._step)

    def series(self, value: bytes | None, t_ms: int, size_ms: int | None = None) -> list[C]:
        """Return the steps with events in the rolling window at a time, oldest first."""
        return self.steps(value, *self.slices.window_at(t_ms, size_ms))

    def steps(self, value: bytes | None, first: int, end: int) -> list[C]:
        """Return the steps with events among the panes first <= p < end, oldest first."""
        return self.entity.each(self.rows_of(value), first, end, self._step)

    def kept_views(self, value: bytes | None, stream_time_ms: int) -> int:
        """Return the views in all panes of open windows, an upper bound for any window."""
        first_pane, views = stream_time_ms // self._step + 1 - self._panes, self._views
        rows = self._rows.items(self.rows_of(value))
        return sum([row[views] for row in rows if row[0] >= first_pane])

    def is_expired(self, value: bytes, stream_time_ms: int) -> bool:
        """Whether all panes are in closed windows."""
        rows = self.rows_of(value)
        return not rows or self._rows.newest(rows) < self.slices.kept_from(stream_time_ms)


def rows_in(value: bytes | None, entity: Entity[Any], header_size: int) -> bytes:
    """Return the rows behind a header in the newest layout; CodecError: unknown version."""
    if not value:
        return b""
    version = value[0]
    if version != entity.version and version not in entity.older:
        raise CodecError(f"a value has the unknown version {version}")
    return entity.renewed(value[header_size:], version)
