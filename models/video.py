"""A video's windowed counters, packed into one value.

Little-endian, unpadded:

    u8 version, 3 unused bytes, u64 viral since (ms, 0 = not viral)
    pane rows, newest last: u32 pane, and the counters of models.counters.VIDEO

The rolling and the tumbling window are sums of the same panes. Times are milliseconds.
accelerator.deltas is the compiled form for the usual deltas.
"""

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from models.counters import VIDEO, VideoCounts
from models.pane_windows import PaneWindows, rows_in
from models.viral import ViralRule
from models.windows import Slices

HEADER_FORMAT: Final = "<BxxxQ"
_HEADER: Final = struct.Struct(HEADER_FORMAT)
_ROWS: Final = VIDEO.rows

#: Upper bound: the number of every pane is below.
END_OF_PANES: Final = 2**32

EMPTY: Final = _HEADER.pack(VIDEO.version, 0)


class Verdict(IntEnum):
    """A rule's verdict on a video."""

    FEW_VIEWS = 0
    """Too few to be viral, whatever the other counts are."""
    ENOUGH_VIEWS = 1
    VIRAL = 2


class VideoWindows(PaneWindows[VideoCounts]):
    """The functions on videos' values for one window."""

    __slots__ = ()

    def __init__(self, slices: Slices) -> None:
        """Bind the settings."""
        super().__init__(VIDEO, slices, EMPTY)

    def judge(self, values: Iterable[bytes | None], t_ms: int, rule: ViralRule) -> list[Verdict]:
        """Return a rule's verdict on each video, by its rolling window at a time."""
        return [self._verdict(self.rolling(value, t_ms), rule) for value in values]

    @staticmethod
    def _verdict(counts: VideoCounts, rule: ViralRule) -> Verdict:
        if rule.is_viral(counts):
            return Verdict.VIRAL
        return Verdict.ENOUGH_VIEWS if rule.may_be_viral(counts.views) else Verdict.FEW_VIEWS

    def tumbling(self, value: bytes | None, t_ms: int) -> VideoCounts:
        """Return the counts of the tumbling window at a time."""
        return self._counts(value, *self.slices.tumbling_at(t_ms))

    @staticmethod
    def detected_at(value: bytes | None) -> int:
        """Return the time since which the video is viral, in ms; 0 if it is not."""
        _rows(value)
        return int(_HEADER.unpack_from(value)[1]) if value else 0

    @staticmethod
    def with_detected_at(value: bytes | None, detected_at_ms: int) -> bytes:
        """Return the value with another `viral since`; 0 means not viral."""
        return _HEADER.pack(VIDEO.version, detected_at_ms) + _rows(value)


def _rows(value: bytes | None) -> bytes:
    return rows_in(value, VIDEO, _HEADER.size)
