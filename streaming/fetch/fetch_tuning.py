"""How long the broker lets records gather before it answers a fetch."""

from __future__ import annotations

from typing import NamedTuple


class FetchWait(NamedTuple):
    """What a fetch asks of the broker: to answer after ``ms``, or once it has ``min_bytes``."""

    ms: int
    min_bytes: int


#: Answered at once. What else is asked of the broker over that connection waits behind a fetch that
#: nothing comes for: with Faust's 1,500 ms, where quiet partitions begin and end was known after
#: three seconds.
AT_ONCE = FetchWait(100, 1)

#: Records a second that are a lot: fewer do not keep a core busy, and their answers come sooner.
BUSY_RATE = 20_000

#: Of a lot, seconds from one answer to the next: what comes in the meantime comes with it, and
#: costs less than a fetch of its own.
PERIOD = 0.02

#: Milliseconds that records gather for when the answer before came late.
LEAST_MS = 2

#: Far behind, this much is there already, and answered at once.
GATHERED_BYTES = 1 << 20

#: Seconds over which records are counted.
SPAN = 1.0


class FetchTuner:
    """Goes by how many records have come in lately.

    Answers come at even distances: what one of them has taken on its way, and until somebody took
    it over, the next one's records have gathered for.
    """

    def __init__(self, now: float) -> None:
        """Nothing has come in. ``now``: seconds by any clock that goes forward."""
        self.wait = AT_ONCE
        self._since = now
        self._records = 0
        self._is_busy = False
        self._due = now

    def fetched(self, records: int, now: float) -> None:
        """Count ``records`` that came in, before the next are fetched; 0 is worth telling, too."""
        self._records += records
        elapsed = now - self._since
        if elapsed >= SPAN:
            self._is_busy = self._records >= BUSY_RATE * elapsed
            self._since, self._records = now, 0
        if not self._is_busy:
            self.wait, self._due = AT_ONCE, now
        elif records:
            # Neither is made up for: being late by fetches that hurry, being early by a long wait.
            self._due = min(max(self._due + PERIOD, now), now + PERIOD)
            left_ms = round(1000 * (self._due - now))
            self.wait = FetchWait(max(LEAST_MS, left_ms), GATHERED_BYTES)
