"""Users' values read by the batch: the usual ones at once.

What :class:`models.user.UserWindows` answers for one value, numpy sums here for thousands. Values
of earlier versions, and counters beyond 2**53, are left to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.counters import USER
from models.seen import HEADER_SIZE, ID_SIZE, TIME_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_FORMATS: Final = {"I": "<u4", "Q": "<u8", "H": "<u2", "B": "u1"}
_ROW: Final = np.dtype(
    [("pane", "<u4"), *((name, _FORMATS[each.code]) for name, each in USER.counters.items())]
)
_LARGEST: Final = 2**53


class PackedUsers:
    """The panes of many users' values."""

    def __init__(self, packed: Sequence[bytes]) -> None:
        """Find the rows in ``packed``."""
        data = np.frombuffer(b"".join(packed), np.uint8)
        sizes = np.fromiter(map(len, packed), np.int64, len(packed))
        starts = np.cumsum(sizes) - sizes
        blocks, opened = data[starts + 1], data[starts + 3].astype(np.int64)
        ids = HEADER_SIZE + TIME_SIZE * (blocks > 0) + ID_SIZE * opened
        #: Whether each value is of the version that is written.
        self.usual = data[starts] == USER.version
        counts = np.where(self.usual, (sizes - ids) // _ROW.itemsize, 0)
        ends = np.cumsum(counts)
        self._begins, self._ends = ends - counts, ends
        place = np.arange(counts.sum()) - np.repeat(self._begins, counts)
        at = np.repeat(starts + ids, counts) + _ROW.itemsize * place
        self._rows: Any = data[at[:, None] + np.arange(_ROW.itemsize)].view(_ROW).ravel()

    def newest_panes(self) -> npt.NDArray[np.int64]:
        """Return each value's newest pane, -1 where it has none or is not usual."""
        newest = np.full(len(self._ends), -1, np.int64)
        has_rows = self._ends > self._begins
        newest[has_rows] = self._rows["pane"][self._ends[has_rows] - 1]
        return newest

    def totals(self, first: int, end: int) -> list[tuple[int, ...] | None]:
        """Return the sums of each value's counters over the panes first <= p < end.

        None: the value is not usual, and to be asked for by itself.
        """
        panes = self._rows["pane"]
        inside = (panes >= first) & (panes < end)
        columns = [np.where(inside, self._rows[name], 0) for name in USER.counters]
        if any((column >= _LARGEST).any() for column in columns):
            return [None] * len(self._ends)
        sums = zip(*(self._sum(column).tolist() for column in columns), strict=True)
        return [
            each if is_usual else None
            for each, is_usual in zip(sums, self.usual.tolist(), strict=True)
        ]

    def _sum(self, numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
        before = np.concatenate([[np.uint64(0)], np.cumsum(numbers, dtype=np.uint64)])
        sums: npt.NDArray[np.uint64] = before[self._ends] - before[self._begins]
        return sums
