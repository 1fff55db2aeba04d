"""A chunk of delta records, folded into the videos of one partition.

This is the plain form. The package `accelerator` has one that does the same, compiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.deltas import unpack_deltas
from models.video import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.chunk import Changes
    from models.deltas import DeltaRow
    from models.video import VideoWindows
    from models.viral import ViralRule


class DeltaChunk:
    """Delta records, unpacked."""

    __slots__ = ("_rows", "keys", "latest")

    def __init__(self, values: Iterable[bytes | None]) -> None:
        """Unpack the values of delta records.

        Raises:
            CodecError: one of them is no delta record.
        """
        #: The latest stream time of their sources, in ms; -1 without records.
        self.latest = -1
        #: Keys of the videos, one a row.
        self.keys: list[bytes] = []
        self._rows: list[DeltaRow] = []
        for value in values:
            _, stream_time, rows = unpack_deltas(value or b"")
            self.latest = max(self.latest, stream_time)
            for row in rows:
                self._rows.append(row)
                self.keys.append(b"%d" % row[0])

    def apply(
        self,
        windows: VideoWindows,
        loaded: Iterable[bytes | None],
        dirty: Changes,
        now: int,
        rule: ViralRule,
    ) -> set[int]:
        """Add all rows up, and return the videos that may be viral by their views.

        Arguments:
            windows: what is done to a video's value.
            loaded: the value of each key, or None; counts where `dirty` has none.
            dirty: takes the values after.
            now: stream time in ms.
            rule: when a video is viral.
        """
        apply, reached = windows.apply, set()
        for key, row, before in zip(self.keys, self._rows, loaded, strict=True):
            video_id, pane, *counts = row
            old = dirty.get(key, before)
            value = apply(old, pane, tuple(counts), now)
            if old is not None or len(value) > len(EMPTY):
                dirty[key] = value
            if rule.may_be_viral(windows.kept_views(value, now)):
                reached.add(video_id)
        return reached
