"""Sums over windows of many values at once; accelerator.sums is the compiled form.

A key's sums are one row: its counters in the first window, then in the second, and so on.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from models.counters import USER
from models.pane_windows import PaneWindows
from models.panes import PaneRows
from models.partitioner import partition_of
from models.user import UserWindows

#: A window: its panes first <= p < end.
Panes = tuple[int, int]


class Windows(Protocol):
    """The functions on a table's values that are needed here."""

    def is_expired(self, value: bytes, stream_time: int, /) -> bool:
        """Whether nothing in a value counts any more."""

    def rows_of(self, value: bytes | None, /) -> bytes:
        """Return the pane rows of a value, numbered by the step."""

    def in_units(self, unit_ms: int, /) -> Self:
        """Return the functions on values whose panes are numbered by another unit of time."""


class Totals(NamedTuple):
    """The sums of values that exist and are not expired."""

    numbers: list[int]
    """Positions of those values in the input, ascending."""
    rows: npt.NDArray[Any]
    """One row per value: unsigned 64 bits, or objects if a number needs more."""


class Sums:
    """Sums, computed value by value."""

    def __init__(self, windows: Windows, shape: PaneRows) -> None:
        """Bind the functions on the values, and the shape of their rows."""
        self._windows = windows
        self._shape = shape

    def in_units(self, unit_ms: int) -> "Sums":
        """Return the sums of values whose panes are numbered by another unit of time."""
        windows = self._windows.in_units(unit_ms)
        return self if windows is self._windows else Sums(windows, self._shape)

    def of(
        self, values: Iterable[bytes | None], stream_time: int, windows: Sequence[Panes]
    ) -> Totals:
        """Return the sums, at a time in ms, of values that exist and are not expired."""
        sums = [self.of_one(value, stream_time, windows) for value in values]
        known = [each for each in sums if each is not None]
        try:
            rows = np.array(known, np.uint64)
        except OverflowError:
            rows = np.array(known, object)
        width = len(windows) * len(self._shape.total(b"", 0, 0))
        numbers = [number for number, each in enumerate(sums) if each is not None]
        return Totals(numbers, rows.reshape(len(known), width))

    def of_one(
        self, value: bytes | None, stream_time: int, windows: Sequence[Panes]
    ) -> tuple[int, ...] | None:
        """Return the sums of one value; None if it does not exist or is expired."""
        if value is None or self._windows.is_expired(value, stream_time):
            return None
        rows, total = self._windows.rows_of(value), self._shape.total
        return tuple([count for first, end in windows for count in total(rows, first, end)])


def user_sums(windows: UserWindows) -> Sums:
    """Return the sums of users' values: the counters of models.counters.USER per window."""
    return Sums(windows, USER.rows)


def pane_sums(windows: PaneWindows[Any]) -> Sums:
    """Return the sums of a summed table's values: the entity's counters per window."""
    return Sums(windows, windows.entity.rows)


def by_partition(ids: Sequence[int], partitions: int) -> dict[int, list[int]]:
    """Return the ids' positions in the list, ascending, by partition."""
    places: dict[int, list[int]] = {}
    for place, key in enumerate(ids):
        places.setdefault(partition_of(key, partitions), []).append(place)
    return places
