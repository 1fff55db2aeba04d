"""Packed panes: the counters of one key, one row per pane, sparse and sorted by pane.

Rows are fixed-size little-endian records, ``pane: u32`` and then the counters. They are plain
bytes, without an object per pane or key. Counters stop at their maximum. accelerator.counters adds
them, compiled. (Panes: Li et al. 2005, see models.windows.)
"""

import struct
from collections.abc import Iterable, Iterator
from functools import cache
from operator import add
from typing import Final

_unpack_pane: Final = struct.Struct("<I").unpack_from
_LIMITS: Final = {"B": 2**8 - 1, "H": 2**16 - 1, "I": 2**32 - 1, "Q": 2**64 - 1}

#: Most rows that one call unpacks together, which halves the time. Each number of rows needs a
#: compiled struct of its own, hence the limit.
_ROWS_PER_CALL: Final = 128


@cache
def _many(row: str, count: int) -> struct.Struct:
    return struct.Struct("<" + row * count)


class PaneRows:
    """Rows of one shape: ``counters`` has the struct type code of each counter, such as "IIQ"."""

    __slots__ = ("_counters", "_limits", "_row", "pack", "size", "unpack_from")

    def __init__(self, counters: str) -> None:
        """Compile the shape."""
        row = struct.Struct("<I" + counters)
        self._counters = counters
        self._limits = tuple(_LIMITS[counter] for counter in counters)
        self._row = row
        self.size = row.size
        self.pack = row.pack
        self.unpack_from = row.unpack_from

    def add(self, rows: bytes, pane: int, *increments: int) -> bytes:
        """Add to one pane's counters, and insert a new pane; fastest at the newest pane."""
        newest, at = -1, len(rows) - self.size
        if at >= 0:
            newest, *counters = self.unpack_from(rows, at)
            if newest == pane:
                try:
                    return rows[:at] + self.pack(pane, *map(add, counters, increments))
                except struct.error:  # a counter is full
                    pass
        if newest < pane:
            return rows + self._pack(pane, increments)
        return self._add_anywhere(rows, pane, increments)

    def _add_anywhere(self, rows: bytes, pane: int, increments: tuple[int, ...]) -> bytes:
        at = self._find(rows, pane)
        found, *counters = self.unpack_from(rows, at)
        if found != pane:
            return rows[:at] + self._pack(pane, increments) + rows[at:]
        sums = tuple(map(add, counters, increments))
        return rows[:at] + self._pack(pane, sums) + rows[at + self.size :]

    def _pack(self, pane: int, counters: tuple[int, ...]) -> bytes:
        try:
            return self.pack(pane, *counters)
        except struct.error:
            return self.pack(pane, *self.limited(counters))

    def limited(self, counters: Iterable[int]) -> tuple[int, ...]:
        """Limit each counter to its maximum."""
        return tuple(map(min, counters, self._limits))

    def _find(self, rows: bytes, pane: int) -> int:
        """Return the offset of the first row whose pane is ``pane`` or newer."""
        size = self.size
        low, high = 0, len(rows) // size
        while low < high:
            middle = (low + high) // 2
            if _unpack_pane(rows, middle * size)[0] < pane:
                low = middle + 1
            else:
                high = middle
        return low * size

    def drop_before(self, rows: bytes, pane: int) -> bytes:
        """Return the rows from that pane on."""
        if not rows or _unpack_pane(rows)[0] >= pane:
            return rows
        return rows[self._find(rows, pane) :]

    def between(self, rows: bytes, first: int, end: int) -> bytes:
        """Return the rows of the panes first <= p < end."""
        rows = self.drop_before(rows, first)
        return rows if self.newest(rows) < end else rows[: self._find(rows, end)]

    def total(self, rows: bytes, first: int, end: int) -> tuple[int, ...]:
        """Return the sums of the counters over the panes first <= p < end."""
        inside = self.between(rows, first, end)
        count = len(inside) // self.size
        if count == 1:  # as for most users
            return self.unpack_from(inside)[1:]
        width = len(self._limits) + 1
        if count <= _ROWS_PER_CALL:
            numbers = _many("I" + self._counters, count).unpack(inside)
            return tuple([sum(numbers[column::width]) for column in range(1, width)])
        return tuple(map(sum, list(zip(*self._row.iter_unpack(inside), strict=True))[1:]))

    def newest(self, rows: bytes) -> int:
        """Return the newest pane; -1 without rows."""
        return int(_unpack_pane(rows, len(rows) - self.size)[0]) if rows else -1

    def items(self, rows: bytes) -> Iterator[tuple[int, ...]]:
        """Return (pane, counter, ...) of each row, oldest first."""
        return self._row.iter_unpack(rows)

    def coarser(self, rows: bytes, factor: int) -> bytes:
        """Merge rows into panes that are ``factor`` times as long, and number them by those."""
        merged = b""
        for pane, *counters in self._row.iter_unpack(rows):
            merged = self.add(merged, pane // factor, *counters)
        return merged

    def finer(self, rows: bytes, factor: int) -> bytes:
        """Renumber rows by panes ``factor`` times shorter: each becomes the first of its pane."""
        return b"".join(
            self.pack(pane * factor, *counters) for pane, *counters in self._row.iter_unpack(rows)
        )

    def whole_steps(self, rows: bytes, factor: int) -> bytes:
        """Merge rows within each step of ``factor`` panes, unless the newest is at a step's start.

        Rows that were written with the coarser step start at a step, so they need no merge.
        """
        if factor == 1 or not rows or self.newest(rows) % factor == 0:
            return rows
        return self.finer(self.coarser(rows, factor), factor)
