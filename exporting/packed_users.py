"""Users' values read by the batch: the usual ones at once, as columns.

What :class:`models.user.UserWindows` answers for one value, numpy answers here for thousands.
Values of earlier versions, and sums beyond 2**53, are left to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from models.seen import HEADER_SIZE, ID_SIZE, TIME_SIZE
from models.user import ROW_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Numbers = npt.NDArray[np.int64]

#: The version of values that are read here, and how their rows are laid out.
_VERSION: Final = 3
_ROW: Final = np.dtype([("pane", "<u4"), ("views", "<u4"), ("likes", "<u4"), ("watch_ms", "<u8")])
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
        #: Whether each value is of the usual form.
        self.usual = (data[starts] == _VERSION) & (_ROW.itemsize == ROW_SIZE)
        counts = np.where(self.usual, (sizes - ids) // ROW_SIZE, 0)
        ends = np.cumsum(counts)
        self._begins, self._ends = ends - counts, ends
        place = np.arange(ends[-1] if len(ends) else 0) - np.repeat(self._begins, counts)
        at = np.repeat(starts + ids, counts) + ROW_SIZE * place
        self._rows: Any = data[at[:, None] + np.arange(ROW_SIZE)].view(_ROW).ravel()

    def newest_panes(self) -> Numbers:
        """Return each value's newest pane, -1 where it has none or is not usual."""
        newest = np.full(len(self._ends), -1, np.int64)
        has_rows = self._ends > self._begins
        newest[has_rows] = self._rows["pane"][self._ends[has_rows] - 1]
        return newest

    def totals(self, first: int, end: int) -> Totals:
        """Return the sums over the panes first <= p < end."""
        panes = self._rows["pane"]
        inside = (panes >= first) & (panes < end)
        names = ("views", "likes", "watch_ms")
        sums = [self._sum(np.where(inside, self._rows[name], 0)) for name in names]
        exact = self.usual & np.all([each < _LARGEST for each in sums], axis=0)
        return Totals(exact, *(each.astype(np.int64) for each in sums))

    def _sum(self, numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
        before = np.concatenate([[np.uint64(0)], np.cumsum(numbers, dtype=np.uint64)])
        sums: npt.NDArray[np.uint64] = before[self._ends] - before[self._begins]
        return sums


class Totals(NamedTuple):
    """Sums of each value's counters; ``exact`` says which of them hold."""

    exact: npt.NDArray[np.bool_]
    views: Numbers
    likes: Numbers
    watch_ms: Numbers
