"""Fetch tuning: how long the broker collects records before it answers a fetch."""

from __future__ import annotations

from typing import NamedTuple


class FetchWait(NamedTuple):
    """Limits of a fetch: the broker answers after ``ms``, or once it has ``min_bytes``."""

    ms: int
    min_bytes: int


#: An immediate answer. Other requests on the connection wait behind a fetch without records: with
#: Faust's 1,500 ms, the offsets of quiet partitions were known after three seconds.
NO_WAIT = FetchWait(100, 1)

#: Records per second from which fetches are spaced out; fewer do not use a whole core.
BUSY_RECORDS_PER_S = 20_000

#: Seconds between answers at that rate: records in between share one fetch, which costs less.
PERIOD_S = 0.02

#: Milliseconds for which the broker collects records after a late answer.
MIN_WAIT_MS = 2

#: With a backlog, the broker has this much at once, and answers at once.
GATHERED_BYTES = 1 << 20

#: Seconds over which the rate is measured.
SPAN_S = 1.0


class FetchTuner:
    """Chooses the limits by the recent rate of records.

    Answers come at regular intervals; the time that an answer spent in transit and waiting counts
    for the next one.
    """

    def __init__(self, now: float) -> None:
        """Begin without records. ``now``: seconds of a monotonic clock."""
        self.wait = NO_WAIT
        self._since = now
        self._records = 0
        self._is_busy = False
        self._due = now

    def fetched(self, records: int, now: float) -> None:
        """Count ``records`` of a fetch, before the next fetch; call it with 0 as well."""
        self._records += records
        elapsed = now - self._since
        if elapsed >= SPAN_S:
            self._is_busy = self._records >= BUSY_RECORDS_PER_S * elapsed
            self._since, self._records = now, 0
        if not self._is_busy:
            self.wait, self._due = NO_WAIT, now
        elif records:
            # Late answers are not followed by faster fetches, early ones not by a longer wait.
            self._due = min(max(self._due + PERIOD_S, now), now + PERIOD_S)
            left_ms = round(1000 * (self._due - now))
            self.wait = FetchWait(max(MIN_WAIT_MS, left_ms), GATHERED_BYTES)
