"""A single warning about a high share of misplaced events.

Misplaced events count, but each is written and read once more. The cause is nearly always a
producer with a partitioner other than Kafka's default.
"""

from __future__ import annotations

import logging
from typing import Final

log = logging.getLogger(__name__)

#: Number of events before a warning is possible, and the share that causes one.
MIN_EVENTS: Final = 100
HIGH_SHARE: Final = 0.2


class MisplacedShare:
    """Counts the events of the input, and the misplaced ones among them."""

    def __init__(self) -> None:
        """Start at zero."""
        self._read = 0
        self._misplaced = 0
        self._is_said = False

    def note(self, read: int, misplaced: int) -> None:
        """Count events; warn if the share is high, once per worker process."""
        self._read += read
        self._misplaced += misplaced
        if self._is_said or self._read < MIN_EVENTS:
            return
        share = self._misplaced / self._read
        if share < HIGH_SHARE:
            self._read = self._misplaced = 0
            return
        self._is_said = True
        log.warning(
            "%.0f %% of %s events lie in another partition than their user's: each is written and "
            "read once more. Key events by the decimal user_id; librdkafka's clients need "
            '"partitioner": "murmur2_random" (docs/how-to/produce.md)',
            100 * share,
            f"{self._read:,}",
        )


#: Shared by all partitions of the worker.
misplaced_share: Final = MisplacedShare()
