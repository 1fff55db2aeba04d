"""A user's windowed metrics and recent event ids, packed into one value.

Layout 1, little-endian, unpadded:

    u8 version, u8 unused, u16 number of seen ids
    seen ids, oldest first: u64 hash of the event id, u32 stream time in ms modulo 2**32
    pane rows, newest last: u32 pane, u32 views, u32 likes, u64 watched ms

Functions take bytes and give bytes: a worker holds no object per user. Times are milliseconds.
"""

import struct
from typing import Any, Final, NamedTuple

from models.errors import CodecError
from models.panes import PaneRows
from models.windows import Slices, to_iso

VERSION: Final = 1
MAX_SEEN: Final = 4096
"""Most event ids remembered for a user, 48 KiB: the oldest go first, even within the horizon."""

_HEADER: Final = struct.Struct("<BxH")
_SEEN: Final = struct.Struct("<QI")
_ROWS: Final = PaneRows("IIQ")
_CLOCK: Final = 2**32 - 1
_SEEN_AT: Final = _HEADER.size
_SEEN_SIZE: Final = _SEEN.size
_HASH_SIZE: Final = 8
_TIME_AT: Final = _HASH_SIZE
_ROW_SIZE: Final = _ROWS.size

_HEADERS: Final = tuple(_HEADER.pack(VERSION, count) for count in range(MAX_SEEN + 1))
_pack_hash: Final = struct.Struct("<Q").pack
_pack_seen: Final = _SEEN.pack
_pack_row: Final = _ROWS.pack
_unpack_row: Final = _ROWS.unpack_from
# A value that is not empty has a row or a seen id: 16 bytes at least.
_unpack_head: Final = struct.Struct("<2xH8xI").unpack_from
_unpack_u32: Final = struct.Struct("<I").unpack_from

EMPTY: Final = _HEADERS[0]


class UserMetrics(NamedTuple):
    """What a user did in the window [window_start_ms, window_end_ms)."""

    window_start_ms: int
    window_end_ms: int
    size_ms: int
    step_ms: int
    views: int
    likes: int
    watch_ms: int

    @property
    def total_engagement_minutes(self) -> float:
        """Minutes watched."""
        return self.watch_ms / 60_000

    @property
    def engagement_rate(self) -> float:
        """Likes per view, 0.0 without views."""
        return self.likes / self.views if self.views else 0.0


def describe(user_id: int, as_of_ms: int, metrics: UserMetrics) -> dict[str, Any]:
    """A user's metrics as they are shown to people and programs."""
    return {
        **describe_window(user_id, as_of_ms, metrics),
        "total_videos_watched": metrics.views,
        "total_engagement_minutes": metrics.total_engagement_minutes,
        "likes": metrics.likes,
        "engagement_rate": metrics.engagement_rate,
    }


def describe_window(user_id: int, as_of_ms: int, metrics: UserMetrics) -> dict[str, Any]:
    """Whose metrics they are, and of which window, as it is shown to people and programs."""
    return {
        "user_id": user_id,
        "as_of": to_iso(as_of_ms),
        "window": {
            "start": to_iso(metrics.window_start_ms),
            "end": to_iso(metrics.window_end_ms),
            "size_s": metrics.size_ms // 1000,
            "step_s": metrics.step_ms // 1000,
        },
    }


class UserPane(NamedTuple):
    """What a user did in one step from start_ms on."""

    start_ms: int
    views: int
    likes: int
    watch_ms: int


class UserWindows:
    """The functions on users' values for one window and one horizon of deduplication.

    An id is a duplicate while the stream time is at most `horizon_ms` past the stream time at which
    it was applied.
    """

    __slots__ = ("_horizon", "_other_panes", "_step", "slices")

    def __init__(self, slices: Slices, horizon_ms: int) -> None:
        """Bind the settings."""
        if not 0 <= horizon_ms < 2**31:
            raise ValueError(f"the horizon has to be from 0 to 2147483647 ms, not {horizon_ms}")
        self.slices = slices
        self._step = slices.step
        self._other_panes = slices.panes - 1
        self._horizon = horizon_ms

    def is_late(self, t_ms: int, stream_time_ms: int | None) -> bool:
        """Whether a time is in no open window any more, or before 1970."""
        return t_ms < 0 or (
            stream_time_ms is not None
            and t_ms // self._step < stream_time_ms // self._step - self._other_panes
        )

    def apply(  # noqa: C901, PLR0912 - once an event: calls would cost more than the work
        self,
        value: bytes | None,
        event_type: str,
        t_ms: int,
        watch_ms: int,
        id_hash: int,
        stream_time_ms: int,
    ) -> bytes | None:
        """The value after one event that is not late, or None when its id is a duplicate.

        `stream_time_ms` is the partition's, this event included. Every event leaves a row for its
        pane and its id behind; what has left the window and the horizon is dropped on the way.
        """
        step = self._step
        pane = t_ms // step
        now = stream_time_ms & _CLOCK
        if event_type == "video_view":
            views, likes = 1, 0
        else:
            views, likes, watch_ms = 0, 1 if event_type == "like" else 0, 0
        if not value or value == EMPTY:
            return _HEADERS[1] + _pack_seen(id_hash, now) + _pack_row(pane, views, likes, watch_ms)

        if value[0] != VERSION:
            raise CodecError(f"a user's value has the unknown version {value[0]}")
        count, oldest = _unpack_head(value)
        rows_at = _SEEN_AT + _SEEN_SIZE * count
        last_pane, last_views, last_likes, last_watch = _unpack_row(value, len(value) - _ROW_SIZE)
        first_pane = stream_time_ms // step - self._other_panes
        seen_at = _SEEN_AT
        if count:
            wanted = _pack_hash(id_hash)
            at = value.rfind(wanted, _SEEN_AT, rows_at)
            if at >= 0 and self._is_seen(value, wanted, at, stream_time_ms):
                return None
            if (now - oldest) & _CLOCK > self._horizon or last_pane < first_pane:
                seen_at = self._seen_from(value, stream_time_ms)
                count = (rows_at - seen_at) // _SEEN_SIZE
            if count == MAX_SEEN:
                seen_at += _SEEN_SIZE
                count -= 1

        kept_at = rows_at
        if _unpack_u32(value, rows_at)[0] < first_pane:
            kept_at = len(value) - len(_ROWS.drop_before(value[rows_at:], first_pane))
        try:
            if pane == last_pane:
                rows = value[kept_at:-_ROW_SIZE]
                row = _pack_row(pane, last_views + views, last_likes + likes, last_watch + watch_ms)
            elif pane > last_pane:
                rows = value[kept_at:]
                row = _pack_row(pane, views, likes, watch_ms)
            else:
                rows = _ROWS.add(value[kept_at:], pane, views, likes, watch_ms)
                row = b""
        except struct.error:  # a counter is full
            rows = _ROWS.add(value[kept_at:], pane, views, likes, watch_ms)
            row = b""
        return b"".join(
            (_HEADERS[count + 1], value[seen_at:rows_at], _pack_seen(id_hash, now), rows, row)
        )

    def _is_seen(self, value: bytes, wanted: bytes, at: int, stream_time_ms: int) -> bool:
        """Whether a hash's bytes, found last at `at`, are those of an id within the horizon."""
        kept_at = self._seen_from(value, stream_time_ms)
        while at >= kept_at:
            if (at - _SEEN_AT) % _SEEN_SIZE == 0:
                return True
            at = value.rfind(wanted, kept_at, at + _HASH_SIZE - 1)
        return False

    def _seen_from(self, value: bytes, stream_time_ms: int) -> int:
        """Where the seen ids within the horizon begin."""
        rows_at = _rows_at(value)
        last_pane = _unpack_u32(value, len(value) - _ROW_SIZE)[0]
        # No id was applied after the last pane left the window, and the ids' clock turns over in
        # 49 days: an absence longer than that is told by the pane.
        if stream_time_ms - (last_pane + self._other_panes + 1) * self._step > self._horizon:
            return rows_at
        at = _SEEN_AT
        while at < rows_at and self._is_past(value, at, stream_time_ms):
            at += _SEEN_SIZE
        return at

    def _is_past(self, value: bytes, at: int, stream_time_ms: int) -> bool:
        applied = _unpack_u32(value, at + _TIME_AT)[0]
        return bool((stream_time_ms - applied) & _CLOCK > self._horizon)

    def metrics(self, value: bytes | None, t_ms: int, size_ms: int | None = None) -> UserMetrics:
        """The metrics of the window at a time; a smaller window is any multiple of the step."""
        first, end = self.slices.window_at(t_ms, size_ms)
        step = self._step
        views, likes, watch_ms = _ROWS.total(_rows(value), first, end)
        return UserMetrics(
            first * step, end * step, (end - first) * step, step, views, likes, watch_ms
        )

    def series(self, value: bytes | None, t_ms: int, size_ms: int | None = None) -> list[UserPane]:
        """The steps of the window at a time in which the user did anything, oldest first.

        Their sums are the metrics of that window.
        """
        first, end = self.slices.window_at(t_ms, size_ms)
        return [
            UserPane(pane * self._step, views, likes, watch_ms)
            for pane, views, likes, watch_ms in _ROWS.items(_rows(value))
            if first <= pane < end
        ]

    def is_expired(self, value: bytes, stream_time_ms: int) -> bool:
        """Whether nothing of a value counts any more: no pane is open, no id within the horizon."""
        rows_at = _rows_at(value)
        if rows_at == len(value):
            return True
        last_pane = _unpack_u32(value, len(value) - _ROW_SIZE)[0]
        if last_pane >= stream_time_ms // self._step - self._other_panes:
            return False
        return self._seen_from(value, stream_time_ms) == rows_at


def _rows_at(value: bytes) -> int:
    if value[0] != VERSION:
        raise CodecError(f"a user's value has the unknown version {value[0]}")
    return _SEEN_AT + _SEEN_SIZE * (value[2] | value[3] << 8)


def _rows(value: bytes | None) -> bytes:
    return value[_rows_at(value) :] if value else b""
