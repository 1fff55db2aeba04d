"""A video's windowed counters, packed into one value.

Little-endian, unpadded:

    u8 version, 3 unused bytes, u64 viral since (ms, 0 = not viral)
    pane rows, newest last: u32 pane, and the counters of models.counters.VIDEO

The rolling and the tumbling window are both sums of the same panes. Times are milliseconds.
accelerator.deltas does the same, compiled, for the usual deltas.
"""

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from models.counters import VIDEO, VideoCounts
from models.errors import CodecError
from models.viral import ViralRule
from models.windows import Slices

HEADER_FORMAT: Final = "<BxxxQ"
_HEADER: Final = struct.Struct(HEADER_FORMAT)
_HEADER_SIZE: Final = _HEADER.size
_ROWS: Final = VIDEO.rows
_VIEWS: Final = 1 + list(VIDEO.counters).index("views")
_unpack_pane: Final = struct.Struct("<I").unpack_from

END_OF_PANES: Final = 2**32
"""All panes are below."""

EMPTY: Final = _HEADER.pack(VIDEO.version, 0)
_TAG: Final = EMPTY[:1]


class Verdict(IntEnum):
    """What a rule says of a video."""

    FEW_VIEWS = 0
    """Too few to be viral, whatever else is done."""
    ENOUGH_VIEWS = 1
    VIRAL = 2


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
        counts: tuple[int, ...],
        stream_time_ms: int,
    ) -> bytes:
        """The value after counts for one pane were added and panes of no open window dropped.

        Counts for such a pane are dropped as well; nothing may be left but the header.
        """
        first_pane = stream_time_ms // self._step + 1 - self._panes
        header, rows = (value or EMPTY)[:_HEADER_SIZE], _rows(value)
        if rows and _unpack_pane(rows)[0] < first_pane:
            rows = _ROWS.drop_before(rows, first_pane)
        if pane >= first_pane:
            rows = _ROWS.add(rows, pane, *counts)
        return _TAG + header[1:] + rows

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
        return Verdict.ENOUGH_VIEWS if rule.may_be_viral(counts.views) else Verdict.FEW_VIEWS

    def tumbling(self, value: bytes | None, t_ms: int) -> VideoCounts:
        """The counts of the tumbling window at a time."""
        return self._counts(value, *self.slices.tumbling_at(t_ms))

    def _counts(self, value: bytes | None, first: int, end: int) -> VideoCounts:
        return VIDEO.total(_rows(value), first, end, self._step)

    def series(self, value: bytes | None, t_ms: int) -> list[VideoCounts]:
        """The steps of the rolling window at a time in which anything happened, oldest first."""
        return self.steps(value, *self.slices.window_at(t_ms))

    def steps(self, value: bytes | None, first: int, end: int) -> list[VideoCounts]:
        """The steps of the panes first <= p < end in which anything happened, oldest first."""
        return VIDEO.each(_rows(value), first, end, self._step)

    def kept_views(self, value: bytes | None, stream_time_ms: int) -> int:
        """Views in all panes of open windows: an upper bound of the views in any window."""
        first_pane = self.slices.kept_from(stream_time_ms)
        return sum(row[_VIEWS] for row in _ROWS.items(_rows(value)) if row[0] >= first_pane)

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
        return _HEADER.pack(VIDEO.version, detected_at_ms) + _rows(value)


def _rows(value: bytes | None) -> bytes:
    if not value:
        return b""
    version = value[0]
    if version != VIDEO.version and version not in VIDEO.older:
        raise CodecError(f"a video's value has the unknown version {version}")
    return VIDEO.renewed(value[_HEADER_SIZE:], version)
