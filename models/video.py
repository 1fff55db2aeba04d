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
from models.pane_windows import PaneWindows, rows_in
from models.viral import ViralRule
from models.windows import Slices

HEADER_FORMAT: Final = "<BxxxQ"
_HEADER: Final = struct.Struct(HEADER_FORMAT)
_ROWS: Final = VIDEO.rows

END_OF_PANES: Final = 2**32
"""All panes are below."""

EMPTY: Final = _HEADER.pack(VIDEO.version, 0)


class Verdict(IntEnum):
    """What a rule says of a video."""

    FEW_VIEWS = 0
    """Too few to be viral, whatever else is done."""
    ENOUGH_VIEWS = 1
    VIRAL = 2


class VideoWindows(PaneWindows[VideoCounts]):
    """The functions on videos' values for one window."""

    __slots__ = ()

    def __init__(self, slices: Slices) -> None:
        """Bind the settings."""
        super().__init__(VIDEO, slices, EMPTY)

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
    return rows_in(value, VIDEO, _HEADER.size)
