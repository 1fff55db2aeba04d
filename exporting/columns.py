"""The values of an export's columns, computed from packed values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from exporting.packed_users import PackedUsers
from models.columns import USER_COLUMNS, VIDEO_COLUMNS, summed_columns
from models.counters import USER, VIDEO
from models.windows import complete_since

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.columns import Column
    from models.counters import VideoCounts
    from models.entity import Shown
    from models.pane_windows import PaneWindows
    from models.user import UserWindows
    from models.video import VideoWindows
    from models.viral import ViralRule
    from models.windows import Slices


#: The columns in order: lists or numpy arrays with one value per key. Times are in ms.
Values = list[Any]


class Metrics(Protocol):
    """The exported columns of one table."""

    @property
    def columns(self) -> Sequence[Column]:
        """The columns of each row."""

    @property
    def slices(self) -> Slices:
        """Size and step of the table's windows."""

    def in_units(self, unit_ms: int) -> Metrics:
        """Return the same for values whose panes are numbered by another unit."""

    def first_pane(self, at: int) -> int:
        """Return the oldest pane of the windows at ``at`` (ms)."""

    def known(self, packed: Sequence[bytes], stream_time_ms: int) -> Sequence[bool]:
        """Return for each value whether it is not expired."""

    def values(
        self, ids: list[int], packed: Sequence[bytes], at: int, complete_from: int
    ) -> Values:
        """Return the columns of keys with these packed values at ``at`` (ms).

        Counts are complete from the stream time ``complete_from`` (ms) on; 0: always.
        """


def _values(fields: Sequence[Shown], counts: Sequence[object]) -> Values:
    return [[each.value(count) for count in counts] for each in fields]


class UserMetrics:
    """The columns of users, as ``GET /users/{user_id}`` returns them."""

    columns = USER_COLUMNS

    def __init__(self, windows: UserWindows, size: int | None) -> None:
        """Use windows of ``size`` ms (None: the full size). Raises ValueError for a wrong size."""
        windows.slices.window_at(0, size)
        self.slices = windows.slices
        self._windows = windows
        self._size = size

    def in_units(self, unit_ms: int) -> UserMetrics:
        """See :class:`Metrics`."""
        return UserMetrics(self._windows.in_units(unit_ms), self._size)

    def first_pane(self, at: int) -> int:
        """See :class:`Metrics`."""
        return self.slices.window_at(at, self._size)[0]

    def known(self, packed: Sequence[bytes], stream_time_ms: int) -> Sequence[bool]:
        """See :class:`Metrics`."""
        kept_from = self.slices.kept_from(stream_time_ms) * self._windows.per_step
        known = PackedUsers(packed).newest_panes >= kept_from
        for place in np.flatnonzero(~known).tolist():
            known[place] = not self._windows.is_expired(packed[place], stream_time_ms)
        found: list[bool] = known.tolist()
        return found

    def values(
        self, ids: list[int], packed: Sequence[bytes], at: int, complete_from: int = 0
    ) -> Values:
        """See :class:`Metrics`."""
        metrics, count = self._windows.metrics, len(ids)
        window = metrics(None, at, self._size)
        start, end = window.start_ms, window.end_ms
        first, last = self.slices.window_at(at, self._size)
        per_step = self._windows.per_step
        answers = PackedUsers(packed).answers(first * per_step, last * per_step)
        if answers is None:
            fields = _values(USER.answer, [metrics(value, at, self._size) for value in packed])
        else:
            fields = answers.fields
            for place in np.flatnonzero(~answers.usual).tolist():
                counts = metrics(packed[place], at, self._size)
                for field, shown in zip(fields, USER.answer, strict=True):
                    field[place] = shown.value(counts)
        return [
            np.array(ids),
            *(np.full(count, t) for t in (at, start, end)),
            *(np.full(count, ms // 1000) for ms in (end - start, self.slices.step)),
            *fields,
        ]


class SummedMetrics:
    """The columns of a table of sums with one window, such as creators."""

    def __init__(self, windows: PaneWindows[Any], size: int | None) -> None:
        """Use windows of ``size`` ms (None: the full size). Raises ValueError for a wrong size."""
        windows.slices.window_at(0, size)
        self.columns = summed_columns(windows.entity)
        self.slices = windows.slices
        self._windows = windows
        self._size = size

    def in_units(self, unit_ms: int) -> SummedMetrics:
        """See :class:`Metrics`."""
        return SummedMetrics(self._windows.in_units(unit_ms), self._size)

    def first_pane(self, at: int) -> int:
        """See :class:`Metrics`."""
        return self.slices.window_at(at, self._size)[0]

    def known(self, packed: Sequence[bytes], stream_time_ms: int) -> Sequence[bool]:
        """See :class:`Metrics`."""
        return [not self._windows.is_expired(value, stream_time_ms) for value in packed]

    def values(
        self, ids: list[int], packed: Sequence[bytes], at: int, complete_from: int = 0
    ) -> Values:
        """See :class:`Metrics`."""
        counts = [self._windows.rolling(value, at, self._size) for value in packed]
        panes, step = self.slices.window_at(at, self._size), self.slices.step
        start, end = (pane * step for pane in panes)
        window = at, start, end, (end - start) // 1000, step // 1000
        return [
            ids,
            *([each] * len(ids) for each in window),
            *_values(self._windows.entity.answer, counts),
            [complete_since(start, complete_from)] * len(ids),
        ]


class VideoMetrics:
    """The columns of videos, as ``GET /videos/{video_id}`` returns them."""

    columns = VIDEO_COLUMNS

    def __init__(self, windows: VideoWindows, rule: ViralRule) -> None:
        """Use the program's windows and viral rule."""
        self.slices = windows.slices
        self._windows = windows
        self._rule = rule

    def in_units(self, unit_ms: int) -> VideoMetrics:
        """See :class:`Metrics`."""
        return VideoMetrics(self._windows.in_units(unit_ms), self._rule)

    def first_pane(self, at: int) -> int:
        """See :class:`Metrics`."""
        return min(self.slices.window_at(at)[0], self.slices.tumbling_at(at)[0])

    def known(self, packed: Sequence[bytes], stream_time_ms: int) -> Sequence[bool]:
        """See :class:`Metrics`."""
        return [not self._windows.is_expired(value, stream_time_ms) for value in packed]

    def values(
        self, ids: list[int], packed: Sequence[bytes], at: int, complete_from: int = 0
    ) -> Values:
        """See :class:`Metrics`."""
        windows = self._windows
        rolling = [windows.rolling(value, at) for value in packed]
        tumbling = [windows.tumbling(value, at) for value in packed]
        return [
            ids,
            [at] * len(ids),
            *_window_values(rolling),
            *_window_values(tumbling),
            [self._rule.is_viral(each) for each in rolling],
        ]


def _window_values(windows: Sequence[VideoCounts]) -> Values:
    return [
        [each.start_ms for each in windows],
        [each.end_ms for each in windows],
        *_values(VIDEO.answer, windows),
    ]
