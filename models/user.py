"""A user's windowed metrics and recent event ids, packed into one value.

Little-endian, unpadded:

    ids: see models.seen, whose header begins the value
    pane rows, newest last: u32 pane, and the counters of models.counters.USER

accelerator.history does the same, compiled, for the usual events. Panes are numbered by a unit of
time: the step, or the finer step that the table was built with; see UserWindows.in_units.
Functions take bytes and give bytes: a worker holds no object per user. Times are milliseconds.
"""

import struct
from typing import Any, Final

from models.counters import USER, UserCounts
from models.seen import EMPTY, MAX_SEEN, VERSION, Rows, SeenIds, index_key, is_sealed, size_of
from models.windows import Slices, to_iso, units_of, window_fields

__all__ = ["EMPTY", "MAX_SEEN", "UserCounts", "UserWindows", "describe", "describe_window"]

_ROWS: Final = USER.rows

_unpack_u32: Final = struct.Struct("<I").unpack_from


def describe(user_id: int, as_of_ms: int, counts: UserCounts, step_ms: int) -> dict[str, Any]:
    """A user's metrics in a window that hops by a step, as they are shown."""
    return {**describe_window(user_id, as_of_ms, counts, step_ms), **USER.describe(counts)}


def describe_window(
    user_id: int, as_of_ms: int, counts: UserCounts, step_ms: int
) -> dict[str, Any]:
    """Whose metrics they are, and of which window, as it is shown to people and programs."""
    return {
        "user_id": user_id,
        "as_of": to_iso(as_of_ms),
        "window": window_fields(counts.start_ms, counts.end_ms, step_ms),
    }


class UserWindows:
    """The functions on users' values for one window and one horizon of deduplication.

    An id is a duplicate while the stream time is at most `horizon_ms` past the stream time at which
    it was applied.
    """

    __slots__ = ("_other_panes", "_seen", "_step", "per_step", "slices", "unit")

    entity: Final = USER

    def __init__(self, slices: Slices, horizon_ms: int, unit_ms: int | None = None) -> None:
        """Bind the settings, and by what values number their panes: None for the step."""
        self.slices = slices
        self.unit = unit_ms or slices.step
        self.per_step = units_of(slices, self.unit)
        self._seen = SeenIds(horizon_ms)
        self._step = slices.step
        self._other_panes = slices.panes - 1

    def in_units(self, unit_ms: int) -> "UserWindows":
        """The functions on values whose panes are numbered by another unit of time.

        A table keeps the unit that it was built with, also when its step becomes coarser: what was
        counted in finer panes stays where it is, and events go to the first pane of their step.
        """
        if unit_ms == self.unit:
            return self
        return UserWindows(self.slices, self._seen.horizon, unit_ms)

    def in_steps(self, row: bytes) -> bytes:
        """Any row of the table with its panes, if it has some, numbered by the step."""
        if self.per_step == 1 or is_sealed(row):
            return row
        end, rows = size_of(row), USER.rows_of(row[0])
        return row[:end] + rows.coarser(row[end:], self.per_step)

    def in_finer_units(self, row: bytes, factor: int) -> bytes:
        """The same row numbered by a unit of which `factor` make up this one."""
        if factor == 1 or is_sealed(row):
            return row
        end, rows = size_of(row), USER.rows_of(row[0])
        return row[:end] + rows.finer(row[end:], factor)

    def is_late(self, t_ms: int, stream_time_ms: int | None) -> bool:
        """Whether a time is in no open window any more, or before 1970."""
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
        """Whether an event that is not late counted in the user's rows, or (False) is a duplicate.

        `increments` are what it adds to each counter, see :meth:`models.entity.Entity.increments`.
        `stream_time_ms` is the partition's, this event included. Every event leaves a row for its
        pane and its id behind; what has left the window and the horizon is dropped on the way.
        """
        value = rows.get(key) or EMPTY
        ids_size = size_of(value)
        panes = value[ids_size:]
        if value[0] != VERSION:
            panes = USER.renewed(panes, value[0])
        forget = self._is_long_ago(panes, stream_time_ms)
        ids = self._seen.add(rows, key, value, id_hash, stream_time_ms, forget=forget)
        if ids is None:
            return False
        panes = _ROWS.whole_steps(panes, self.per_step)
        first_pane = (stream_time_ms // self._step - self._other_panes) * self.per_step
        if panes and _unpack_u32(panes)[0] < first_pane:
            panes = _ROWS.drop_before(panes, first_pane)
        rows[key] = ids + _ROWS.add(panes, t_ms // self._step * self.per_step, *increments)
        return True

    def index_asked(self, key: bytes, value: bytes | None, stream_time_ms: int) -> bytes | None:
        """The key of the index of sealed ids that an event of a user with this value reads.

        None: it reads none. At a later stream time it may read none any more.
        """
        if value and self._seen.asks_index(value, stream_time_ms):
            return index_key(key)
        return None

    def _is_long_ago(self, panes: bytes, stream_time_ms: int) -> bool:
        """Whether the last event came so long ago that no id is within the horizon.

        No id was applied after the last pane left the window, and the ids' clock turns over in
        49 days: an absence longer than that is told by the pane.
        """
        if not panes:
            return False
        last_pane = _ROWS.newest(panes) // self.per_step
        closed = (last_pane + self._other_panes + 1) * self._step
        return stream_time_ms - closed > self._seen.horizon

    def metrics(self, value: bytes | None, t_ms: int, size_ms: int | None = None) -> UserCounts:
        """The counts of the window at a time; a smaller window is any multiple of the step."""
        return USER.total(self.rows_of(value), *self.slices.window_at(t_ms, size_ms), self._step)

    def series(
        self, value: bytes | None, t_ms: int, size_ms: int | None = None
    ) -> list[UserCounts]:
        """The steps of the window at a time in which the user did anything, oldest first.

        Their sums are the metrics of that window.
        """
        return USER.each(self.rows_of(value), *self.slices.window_at(t_ms, size_ms), self._step)

    def is_expired(self, value: bytes, stream_time_ms: int) -> bool:
        """Whether nothing of a user's value, or of a row of sealed ids, counts any more.

        Of a value no pane is open then, and no id is within the horizon.
        """
        if is_sealed(value):
            return self._seen.is_past_sealed(value, stream_time_ms)
        panes = _rows(value)
        if not panes:
            return True
        last_pane = _ROWS.newest(panes) // self.per_step
        if last_pane >= stream_time_ms // self._step - self._other_panes:
            return False
        return self._is_long_ago(panes, stream_time_ms) or self._seen.is_past(value, stream_time_ms)

    def rows_of(self, value: bytes | None) -> bytes:
        """The pane rows of a value in the newest layout, numbered by the step."""
        rows = _rows(value)
        return rows if self.per_step == 1 else _ROWS.coarser(rows, self.per_step)


def _rows(value: bytes | None) -> bytes:
    return USER.renewed(value[size_of(value) :], value[0]) if value else b""
