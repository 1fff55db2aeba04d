"""A chunk of delta records, applied to the videos or creators of one partition.

accelerator.deltas is the compiled form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.counters import VIDEO
from models.deltas import complete_from, unpack_deltas

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.chunk import ChangedRows
    from models.deltas import DeltaRow
    from models.entity import Entity
    from models.pane_windows import PaneWindows
    from models.viral import ViralRule


class DeltaChunk:
    """Unpacked delta records."""

    __slots__ = ("_rows", "complete_from", "keys", "latest")

    def __init__(self, values: Iterable[bytes | None], of: Entity[Any] = VIDEO) -> None:
        """Unpack the values of delta records of an entity.

        Raises:
                CodecError: a value is not a delta record.
        """
        #: The latest stream time of the sources, in ms; -1 without records.
        self.latest = -1
        #: The latest stream time, in ms, from which a source sends everything; 0 if none says.
        self.complete_from = 0
        #: Keys, one per row.
        self.keys: list[bytes] = []
        self._rows: list[DeltaRow] = []
        for value in values:
            _, stream_time, rows = unpack_deltas(value or b"", of)
            self.latest = max(self.latest, stream_time)
            self.complete_from = max(self.complete_from, complete_from(value or b""))
            for row in rows:
                self._rows.append(row)
                self.keys.append(b"%d" % row[0])

    def apply(
        self,
        windows: PaneWindows[Any],
        loaded: Iterable[bytes | None],
        dirty: ChangedRows,
        now: int,
        rule: ViralRule | None = None,
    ) -> set[int]:
        """Add all rows, and return the videos that have enough views to be viral.

        Arguments:
            windows: the functions on a key's value.
            loaded: the value of each key, or None; used if ``dirty`` does not have the key.
            dirty: receives the new values.
            now: stream time in ms.
            rule: the viral rule; None: no video is viral.
        """
        apply, nothing, reached = windows.apply, len(windows.empty), set()
        for key, row, before in zip(self.keys, self._rows, loaded, strict=True):
            old = dirty.get(key, before)
            value = apply(old, row[1], row[2:], now)
            if old is not None or len(value) > nothing:
                dirty[key] = value
            if rule is not None and rule.may_be_viral(windows.kept_views(value, now)):
                reached.add(row[0])
        return reached
