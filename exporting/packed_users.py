"""Sums of users' values by the batch, with numpy.

It computes for thousands of values what :class:`models.user.UserWindows` computes for one. It
leaves values of earlier versions and counters beyond 2**53 to that class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from models.counters import USER
from models.dedup import HEADER_SIZE, ID_SIZE, TIME_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from models.entity import Shown
    from models.quotients import Counters

_FORMATS: Final = {"I": "<u4", "Q": "<u8", "H": "<u2", "B": "u1"}
_ROW: Final = np.dtype(
    [("pane", "<u4"), *((name, _FORMATS[each.code]) for name, each in USER.counters.items())]
)
_LARGEST: Final = 2**53


class PackedUsers:
    """The panes of many users' values."""

    def __init__(self, packed: Sequence[bytes]) -> None:
        """Find the pane rows in ``packed``."""
        data = np.frombuffer(b"".join(packed), np.uint8)
        sizes = np.fromiter(map(len, packed), np.int64, len(packed))
        starts = np.cumsum(sizes) - sizes
        blocks, opened = data[starts + 1], data[starts + 3].astype(np.int64)
        ids = HEADER_SIZE + TIME_SIZE * (blocks > 0) + ID_SIZE * opened
        #: Whether each value has the current version.
        self.usual = data[starts] == USER.version
        counts = np.where(self.usual, (sizes - ids) // _ROW.itemsize, 0)
        ends = np.cumsum(counts)
        self._begins, self._ends = ends - counts, ends
        place = np.arange(counts.sum()) - np.repeat(self._begins, counts)
        at = np.repeat(starts + ids, counts) + _ROW.itemsize * place
        self._rows: Any = data[at[:, None] + np.arange(_ROW.itemsize)].view(_ROW).ravel()
        panes = self._rows["pane"]
        newest = np.full(len(packed), -1, np.int64)
        has_rows = self._ends > self._begins
        newest[has_rows] = panes[self._ends[has_rows] - 1]
        #: The newest pane of each value; -1 if it has none, or another version.
        self.newest_panes = newest

    def answers(self, first: int, end: int) -> Answers | None:
        """Return the answer fields of :data:`models.counters.USER` over the panes first <= p < end.

        None if a sum may need more than 64 bits.
        """
        panes = self._rows["pane"]
        inside = (panes >= first) & (panes < end)
        rows = {name: np.where(inside, self._rows[name], 0) for name in USER.counters}
        if any(column.max(initial=0) >= _LARGEST for column in rows.values()):
            return None
        sums = {name: self._sum(column) for name, column in rows.items()}
        return Answers([_column(shown, sums) for shown in USER.answer], self.usual)

    def _sum(self, numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
        before = np.concatenate([[np.uint64(0)], np.cumsum(numbers, dtype=np.uint64)])
        sums: npt.NDArray[np.uint64] = before[self._ends] - before[self._begins]
        return sums


class Answers(NamedTuple):
    """The fields of many answers: one array per field, in order."""

    fields: list[npt.NDArray[Any]]
    usual: npt.NDArray[np.bool_]
    """For which values they are valid; compute the others one by one."""


def _column(shown: Shown, sums: Counters) -> npt.NDArray[Any]:
    """Return a field's numbers, with None for missing ones."""
    column = shown.column(sums)
    if not shown.format.is_nullable:
        return column
    numbers = column.astype(object)
    numbers[np.isnan(column)] = None
    return numbers
