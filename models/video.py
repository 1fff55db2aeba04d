"""A video's windowed counters, packed into one value.

Layout 1, little-endian, unpadded:

    u8 version, 3 unused bytes, u64 viral since (ms, 0 = not viral)
    pane rows, newest last: u32 pane, u32 views, u32 likes, u32 comments, u32 shares

The rolling and the tumbling window are both sums of the same panes. Times are milliseconds.
"""

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from models.errors import CodecError
from models.panes import PaneRows
from models.viral import ViralRule, coefficient_of
from models.windows import Slices

VERSION: Final = 1

COUNTER_OF: Final = {"video_view": 0, "like": 1, "comment": 2, "share": 3}
"""Which counter of a video an event adds to; the other types add to none."""

_HEADER: Final = struct.Struct("<BxxxQ")
_HEADER_SIZE: Final = _HEADER.size
_ROWS: Final = PaneRows("IIII")
ROW_SIZE: Final = _ROWS.size
_pack_row: Final = _ROWS.pack
_unpack_row: Final = _ROWS.unpack_from
_unpack_pane: Final = struct.Struct("<I").unpack_from

EMPTY: Final = _HEADER.pack(VERSION, 0)


class VideoCounts(NamedTuple):
    """What happened to a video in the window [start_ms, end_ms)."""

    start_ms: int
    end_ms: int
    views: int
    likes: int
    comments: int
    shares: int

    @property
    def viral_coefficient(self) -> float | None:
        """(shares + comments) / views, None without views."""
        return coefficient_of(self)


class Verdict(IntEnum):
    """What a rule says of a video."""

    FEW_VIEWS = 0
    """Too few to be viral, whatever else is done."""
    ENOUGH_VIEWS = 1
    VIRAL = 2


class VideoPane(NamedTuple):
    """What happened to a video in one step from start_ms on."""

    start_ms: int
    views: int
    likes: int
    comments: int
    shares: int


class VideoWindows:
    """The functions on videos' values for one window."""

    __slots__ = ("_panes", "_step", "slices")

    def __init__(self, slices: Slices) -> None:
        """Bind the settings."""
        self.slices = slices
        self._step = slices.step
        self._panes = slices.panes

    def apply(
        self,
        value: bytes | None,
        pane: int,
        views: int,
        likes: int,
        comments: int,
        shares: int,
        stream_time_ms: int,
    ) -> bytes:
        """The value after counts for one pane were added and panes of no open window dropped.

        Counts for such a pane are dropped as well; nothing may be left but the header.
        """
        first_pane = stream_time_ms // self._step + 1 - self._panes
        if not value:
            value = EMPTY
        elif value[0] != VERSION:
            raise CodecError(f"a video's value has the unknown version {value[0]}")
        if len(value) > _HEADER_SIZE and _unpack_pane(value, _HEADER_SIZE)[0] < first_pane:
            value = value[:_HEADER_SIZE] + _ROWS.drop_before(value[_HEADER_SIZE:], first_pane)
        if pane < first_pane:
            return value
        last_at = len(value) - ROW_SIZE
        if last_at > 0:
            last_pane, old_views, old_likes, old_comments, old_shares = _unpack_row(value, last_at)
            if pane == last_pane:
                try:
                    return value[:last_at] + _pack_row(
                        pane,
                        old_views + views,
                        old_likes + likes,
                        old_comments + comments,
                        old_shares + shares,
                    )
                except struct.error:  # a counter is full: add stops it at its maximum
                    pass
        rows = _ROWS.add(value[_HEADER_SIZE:], pane, views, likes, comments, shares)
        return value[:_HEADER_SIZE] + rows

    def rolling(self, value: bytes | None, t_ms: int) -> VideoCounts:
        """The counts of the hopping window at a time."""
        return self._counts(value, *self.slices.window_at(t_ms))

    def judge(self, values: Iterable[bytes | None], t_ms: int, rule: ViralRule) -> list[Verdict]:
        """What a rule says of videos by their rolling windows at a time."""
        return [self._verdict(self.rolling(value, t_ms), rule) for value in values]

    @staticmethod
    def _verdict(counts: VideoCounts, rule: ViralRule) -> Verdict:
        if rule.is_viral(counts):
            return Verdict.VIRAL
        return Verdict.ENOUGH_VIEWS if counts.views >= rule.min_views else Verdict.FEW_VIEWS

    def tumbling(self, value: bytes | None, t_ms: int) -> VideoCounts:
        """The counts of the tumbling window at a time."""
        return self._counts(value, *self.slices.tumbling_at(t_ms))

    def _counts(self, value: bytes | None, first: int, end: int) -> VideoCounts:
        step = self._step
        views, likes, comments, shares = _ROWS.total(_rows(value), first, end)
        return VideoCounts(first * step, end * step, views, likes, comments, shares)

    def series(self, value: bytes | None, t_ms: int) -> list[VideoPane]:
        """The steps of the rolling window at a time in which anything happened, oldest first."""
        return self.steps(value, *self.slices.window_at(t_ms))

    def steps(self, value: bytes | None, first: int, end: int) -> list[VideoPane]:
        """The steps of the panes first <= p < end in which anything happened, oldest first."""
        return [
            VideoPane(row[0] * self._step, *row[1:])
            for row in _ROWS.items(_rows(value))
            if first <= row[0] < end
        ]

    def kept_views(self, value: bytes | None, stream_time_ms: int) -> int:
        """Views in all panes of open windows: an upper bound of the views in any window."""
        first_pane = self.slices.kept_from(stream_time_ms)
        return sum(row[1] for row in _ROWS.items(_rows(value)) if row[0] >= first_pane)

    def is_expired(self, value: bytes, stream_time_ms: int) -> bool:
        """Whether no pane is in an open window any more."""
        rows = _rows(value)
        return not rows or _ROWS.newest(rows) < self.slices.kept_from(stream_time_ms)

    @staticmethod
    def detected_at(value: bytes | None) -> int:
        """Since when the video is viral, in ms; 0 when it is not."""
        _rows(value)
        return int(_HEADER.unpack_from(value)[1]) if value else 0

    @staticmethod
    def with_detected_at(value: bytes | None, detected_at_ms: int) -> bytes:
        """The same counters with another `viral since`, 0 for not viral."""
        return _HEADER.pack(VERSION, detected_at_ms) + _rows(value)


def _rows(value: bytes | None) -> bytes:
    if not value:
        return b""
    if value[0] != VERSION:
        raise CodecError(f"a video's value has the unknown version {value[0]}")
    return value[_HEADER_SIZE:]
