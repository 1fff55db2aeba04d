"""A high share of events in other partitions than their users' is said once.

They count, but each is written and read once more: nearly always a producer with a partitioner that
is not Kafka's default.
"""

from __future__ import annotations

import logging
from typing import Final

log = logging.getLogger(__name__)

#: Events to look at before it is said, and the share of them from which on.
ENOUGH: Final = 100
HIGH_SHARE: Final = 0.2


class MisplacedShare:
    """Counts the events of the input, and those of them that are passed on."""

    def __init__(self) -> None:
        """Begin to count."""
        self._read = 0
        self._misplaced = 0
        self._is_said = False

    def note(self, read: int, misplaced: int) -> None:
        """Count events; warn when the share is high, once in the life of the worker."""
        self._read += read
        self._misplaced += misplaced
        if self._is_said or self._read < ENOUGH:
            return
        share = self._misplaced / self._read
        if share < HIGH_SHARE:
            self._read = self._misplaced = 0
            return
        self._is_said = True
        log.warning(
            "%.0f %% of %s events lie in another partition than their user's: each is passed on, "
            "which costs twice. Key events by the decimal user_id; librdkafka's clients need "
            '"partitioner": "murmur2_random" (docs/how-to/produce.md)',
            100 * share,
            f"{self._read:,}",
        )


#: One for all partitions of the worker.
misplaced_share: Final = MisplacedShare()
