"""Records of other programs in topics of this one: skipped, counted and logged."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Final

from monitoring import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from faust.types import TP

log = logging.getLogger(__name__)

#: Seconds between two log lines per topic; all records are counted.
NAMING_INTERVAL_S: Final = 10.0


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
