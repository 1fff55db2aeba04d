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

#: Of a lot, what comes in the meantime comes with it, and costs less than a fetch of its own.
GATHERED = FetchWait(20, 1 << 20)

#: Records a second that are a lot: fewer do not keep a core busy, and their answers come sooner.
BUSY_RATE = 20_000

#: Seconds over which they are counted.
SPAN = 1.0


class Gathering:
    """Goes by how many records have come in lately."""

    def __init__(self, now: float) -> None:
        """Nothing has come in. ``now``: seconds by any clock that goes forward."""
        self.wait = AT_ONCE
        self._since = now
        self._records = 0

    def fetched(self, records: int, now: float) -> None:
        """Count ``records`` that came in; none is worth telling, too."""
        self._records += records
        elapsed = now - self._since
        if elapsed >= SPAN:
            self.wait = GATHERED if self._records >= BUSY_RATE * elapsed else AT_ONCE
            self._since, self._records = now, 0
