"""Sums over windows of many values at once; accelerator.sums does the same, compiled.

A key's sums are one row: its counters in the first window, in the second, and so on.
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

Panes = tuple[int, int]
"""A window: its panes first <= p < end."""


class Windows(Protocol):
    """The functions on the values of a table that are needed here."""

    def is_expired(self, value: bytes, stream_time: int, /) -> bool:
        """Whether nothing of a value counts any more."""

    def rows_of(self, value: bytes | None, /) -> bytes:
        """The pane rows of a value, numbered by the step."""

    def in_units(self, unit_ms: int, /) -> Self:
        """The functions on values whose panes are numbered by another unit of time."""


class Totals(NamedTuple):
    """The sums of those keys of which something is known."""

    numbers: list[int]
    """Which of the values they are of, ascending."""
    rows: npt.NDArray[Any]
    """A row of each: 64 bits without sign, or objects when one needs more."""


class Sums:
    """Sums value by value."""

    def __init__(self, windows: Windows, shape: PaneRows) -> None:
        """Bind the functions on the values, and what their rows are like."""
        self._windows = windows
        self._shape = shape

    def in_units(self, unit_ms: int) -> "Sums":
        """The same of values whose panes are numbered by another unit of time."""
        windows = self._windows.in_units(unit_ms)
        return self if windows is self._windows else Sums(windows, self._shape)

    def of(
        self, values: Iterable[bytes | None], stream_time: int, windows: Sequence[Panes]
    ) -> Totals:
        """The sums at a time in ms of the values of whose keys anything is known."""
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
        """The sums of one value."""
        if value is None or self._windows.is_expired(value, stream_time):
            return None
        rows, total = self._windows.rows_of(value), self._shape.total
        return tuple([count for first, end in windows for count in total(rows, first, end)])


def user_sums(windows: UserWindows) -> Sums:
    """Sums of users' values: the counters of models.counters.USER, of each window."""
    return Sums(windows, USER.rows)


def pane_sums(windows: PaneWindows[Any]) -> Sums:
    """Sums of the values of a table that is sent sums: the entity's counters, of each window."""
    return Sums(windows, windows.entity.rows)


def by_partition(ids: Sequence[int], partitions: int) -> dict[int, list[int]]:
    """The ids' places in the list, ascending, by their partitions."""
    places: dict[int, list[int]] = {}
    for place, key in enumerate(ids):
        places.setdefault(partition_of(key, partitions), []).append(place)
    return places
