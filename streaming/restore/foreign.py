"""Records of other programs in topics of this one: refused, or skipped, counted and logged."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Final

from monitoring import metrics
from streaming.errors import ForeignChangelogError
from tables.foreign import ForeignRowError, check_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from faust.types import TP

    from streaming.restore.changelog_fetch import ChangelogChunk
    from tables.layout import StoreFormat

log = logging.getLogger(__name__)

#: Seconds between two log lines per topic; all records are counted.
NAMING_INTERVAL_S: Final = 10.0


def check_chunk(tp: TP, chunk: ChangelogChunk, layout: StoreFormat) -> None:
    """Raise ForeignChangelogError for a row that no table of this layout can have."""
    if layout.find_foreign is None:
        return
    try:
        check_rows(chunk.changes, layout.find_foreign)
    except ForeignRowError as exc:
        raise refused(tp, chunk, exc) from exc


def refused(tp: TP, chunk: ChangelogChunk, found: ForeignRowError) -> ForeignChangelogError:
    """Return the error that names the first of the rows ``found`` in a chunk of ``tp``."""
    offsets = chunk.offsets()
    key = min(found.keys, key=offsets.__getitem__)
    return ForeignChangelogError(tp.topic, tp.partition, offsets[key], key)


class ForeignRecords:
    """Counts skipped records, and logs one per topic from time to time."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Use ``clock``, in seconds."""
        self._clock = clock
        self._named_at: dict[str, float] = {}
        self._unnamed: dict[str, int] = {}

    def skip(self, tp: TP, offset: int, reason: str) -> None:
        """Count the record of ``tp`` at ``offset``, skipped for ``reason``."""
        metrics.foreign_records.labels(tp.topic).inc()
        now, unnamed = self._clock(), self._unnamed.get(tp.topic, 0)
        if now - self._named_at.get(tp.topic, -NAMING_INTERVAL_S) < NAMING_INTERVAL_S:
            self._unnamed[tp.topic] = unnamed + 1
            return
        self._named_at[tp.topic], self._unnamed[tp.topic] = now, 0
        log.warning(
            "%s-%s: skipped the record at offset %s, which another program wrote: %s%s",
            *(tp.topic, tp.partition, offset, reason),
            f" ({unnamed:,} more since the last such line)" if unnamed else "",
        )


#: The instance of this process.
FOREIGN: Final = ForeignRecords()
