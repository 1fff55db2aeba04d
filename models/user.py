"""A user's windowed metrics and recent event ids, packed into one value.

Little-endian, unpadded:

    ids: see models.dedup, whose header begins the value
    pane rows, newest last: u32 pane, and the counters of models.counters.USER

accelerator.user is the compiled form for the usual events. Panes are numbered by a unit of time:
the step, or the finer step with which the table was built; see UserWindows.in_units.
Functions map bytes to bytes: a worker has no object per user. Times are milliseconds.
"""

import struct
from typing import Any, Final

from models.counters import USER, UserCounts
from models.dedup import EMPTY, MAX_SEEN, VERSION, DedupIndex, Rows, index_key, is_sealed, size_of
from models.windows import Slices, to_iso, units_of, window_fields

__all__ = ["EMPTY", "MAX_SEEN", "UserCounts", "UserWindows", "describe_user", "describe_window"]

_ROWS: Final = USER.rows

_unpack_u32: Final = struct.Struct("<I").unpack_from


def describe_user(user_id: int, as_of_ms: int, counts: UserCounts, step_ms: int) -> dict[str, Any]:
    """Return a user's metrics in a window that hops by a step, as answers show them."""
    return {**describe_window(user_id, as_of_ms, counts, step_ms), **USER.describe(counts)}


def describe_window(
    user_id: int, as_of_ms: int, counts: UserCounts, step_ms: int
) -> dict[str, Any]:
    """Return the user and the window of metrics, as answers show them."""
    return {
        "user_id": user_id,
        "as_of": to_iso(as_of_ms),
        "window": window_fields(counts.start_ms, counts.end_ms, step_ms),
    }


class UserWindows:
    """The functions on users' values for one window and one deduplication horizon.

    An id is a duplicate while the stream time is at most ``horizon_ms`` past the stream time at
    which it was applied.
    """

    __slots__ = ("_dedup", "_other_panes", "_step", "per_step", "slices", "unit")

    entity: Final = USER

    def __init__(self, slices: Slices, horizon_ms: int, unit_ms: int | None = None) -> None:
        """Bind the settings, and the unit by which values number their panes (None: the step)."""
        self.slices = slices
        self.unit = unit_ms or slices.step
        self.per_step = units_of(slices, self.unit)
        self._dedup = DedupIndex(horizon_ms)
        self._step = slices.step
        self._other_panes = slices.panes - 1

    def in_units(self, unit_ms: int) -> "UserWindows":
        """Return the functions on values whose panes are numbered by another unit of time.

        A table keeps the unit with which it was built, even if its step becomes coarser. Existing
        counts stay in their finer panes, and new events go to the first pane of their step.
        """
        if unit_ms == self.unit:
            return self
        return UserWindows(self.slices, self._dedup.horizon, unit_ms)

    def in_steps(self, row: bytes) -> bytes:
        """Renumber a row's panes by the step; a row of sealed ids has none, and stays the same."""
        if self.per_step == 1 or is_sealed(row):
            return row
        end, rows = size_of(row), USER.rows_of(row[0])
        return row[:end] + rows.coarser(row[end:], self.per_step)

    def in_finer_units(self, row: bytes, factor: int) -> bytes:
        """Renumber a row's panes by a unit that is ``factor`` times shorter."""
        if factor == 1 or is_sealed(row):
            return row
        end, rows = size_of(row), USER.rows_of(row[0])
        return row[:end] + rows.finer(row[end:], factor)

    def is_late(self, t_ms: int, stream_time_ms: int | None) -> bool:
        """Whether a time is in no open window any more, or is before 1970."""
        return t_ms < 0 or (
            stream_time_ms is not None
            and t_ms // self._step < stream_time_ms // self._step - self._other_panes
        )

    def apply(
        self,
        rows: Rows,
        key: bytes,
        increments: tuple[int, ...],
        t_ms: int,
        id_hash: int,
        stream_time_ms: int,
    ) -> bool:
        """Apply an event that is not late to the user's rows; return False if it is a duplicate.

        ``increments`` has one number per counter, see :meth:`models.entity.Entity.increments`.
        ``stream_time_ms`` is the partition's, this event included. Every event adds its id, and a
        row for its pane. Panes before the window and ids past the horizon are dropped.
        """
        value = rows.get(key) or EMPTY
        ids_size = size_of(value)
        panes = value[ids_size:]
        if value[0] != VERSION:
            panes = USER.renewed(panes, value[0])
        forget = self._is_long_ago(panes, stream_time_ms)
        ids = self._dedup.add(rows, key, value, id_hash, stream_time_ms, forget=forget)
        if ids is None:
            return False
        panes = _ROWS.whole_steps(panes, self.per_step)
        first_pane = (stream_time_ms // self._step - self._other_panes) * self.per_step
        if panes and _unpack_u32(panes)[0] < first_pane:
            panes = _ROWS.drop_before(panes, first_pane)
        rows[key] = ids + _ROWS.add(panes, t_ms // self._step * self.per_step, *increments)
        return True

    def index_asked(self, key: bytes, value: bytes | None, stream_time_ms: int) -> bytes | None:
        """Return the key of the index of sealed ids that an event of a user with this value reads.

        None: it reads none. At a later stream time the index may no longer be needed.
        """
        if value and self._dedup.asks_index(value, stream_time_ms):
            return index_key(key)
        return None

    def _is_long_ago(self, panes: bytes, stream_time_ms: int) -> bool:
        """Whether the last event is so old that all ids are past the horizon.

        No id was applied after the last pane left the window. The ids' clock wraps around after 49
        days, so only the pane reveals a longer absence.
        """
        if not panes:
            return False
        last_pane = _ROWS.newest(panes) // self.per_step
        closed = (last_pane + self._other_panes + 1) * self._step
        return stream_time_ms - closed > self._dedup.horizon

    def metrics(self, value: bytes | None, t_ms: int, size_ms: int | None = None) -> UserCounts:
        """Return the counts of the window at a time; a smaller size is a multiple of the step."""
        return USER.total(self.rows_of(value), *self.slices.window_at(t_ms, size_ms), self._step)

    def series(
        self, value: bytes | None, t_ms: int, size_ms: int | None = None
    ) -> list[UserCounts]:
        """Return the steps with events in the window at a time, oldest first.

        Their sums are the metrics of that window.
        """
        return USER.each(self.rows_of(value), *self.slices.window_at(t_ms, size_ms), self._step)

    def is_expired(self, value: bytes, stream_time_ms: int) -> bool:
        """Whether nothing in a user's value, or in a row of sealed ids, counts any more.

        A value is expired if no pane is open, and no id is within the horizon.
        """
        if is_sealed(value):
            return self._dedup.is_past_sealed(value, stream_time_ms)
        panes = _rows(value)
        if not panes:
            return True
        last_pane = _ROWS.newest(panes) // self.per_step
        if last_pane >= stream_time_ms // self._step - self._other_panes:
            return False
        return self._is_long_ago(panes, stream_time_ms) or self._dedup.is_past(
            value, stream_time_ms
        )

    def rows_of(self, value: bytes | None) -> bytes:
        """Return the pane rows of a value in the newest layout, numbered by the step."""
        rows = _rows(value)
        return rows if self.per_step == 1 else _ROWS.coarser(rows, self.per_step)


def _rows(value: bytes | None) -> bytes:
    return USER.renewed(value[size_of(value) :], value[0]) if value else b""
