"""A creator's windowed counters, packed into one value.

Little-endian, unpadded:

    u8 version
    pane rows, newest last: u32 pane, and the counters of models.counters.CREATOR
"""

import struct
from typing import Any, Final

from models.counters import CREATOR, CreatorCounts
from models.pane_windows import PaneWindows
from models.windows import Slices, to_iso, window_fields

HEADER_FORMAT: Final = "<B"
EMPTY: Final = struct.pack(HEADER_FORMAT, CREATOR.version)


class CreatorWindows(PaneWindows[CreatorCounts]):
    """The functions on creators' values for one window."""

    __slots__ = ()

    def __init__(self, slices: Slices) -> None:
        """Bind the settings."""
        super().__init__(CREATOR, EMPTY, slices)


def describe_window(
    creator_id: int, as_of_ms: int, counts: CreatorCounts, step_ms: int
) -> dict[str, Any]:
    """Whose metrics they are, and of which window, as it is shown to people and programs."""
    return {
        "creator_id": creator_id,
        "as_of": to_iso(as_of_ms),
        "window": window_fields(counts.start_ms, counts.end_ms, step_ms),
    }
