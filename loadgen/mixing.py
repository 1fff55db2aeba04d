"""Mixes events with records that do not count: duplicates, late events and rejects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loadgen.kinds import REJECTS, EventKind
from loadgen.sessions import EVENT

if TYPE_CHECKING:
    import numpy.typing as npt

RECORD = np.dtype(
    [
        *((name, EVENT[name]) for name in EVENT.names or ()),
        ("serial", np.int64),  # number of the record in the stream
        ("original", np.int64),  # of duplicates: how many counting events precede the original
        ("earlier_ms", np.int64),  # subtracted from the timestamp of the record's place
        ("detail", np.uint32),  # random bits that decide how a reject is spoilt
    ]
)

#: How many counting events back the original of a duplicate may be.
MAX_DISTANCE_EVENTS = 4_000
#: How far back it may be in event time, approximately.
MAX_DISTANCE_MS = 300_000

_MEAN_DISORDER_MS = 700
_MAX_DISORDER_MS = 5_000
_HOUR_MS = 3_600_000
_LATE_MS = (25 * _HOUR_MS, 48 * _HOUR_MS)
#: Late events start after this many events: first each partition must have a stream time.
_EVENTS_BEFORE_LATE = 2_000
_MAX_TOO_LARGE = 1 / 50_000
_TOO_LARGE_OF_REJECTS = 1 / 20


@dataclass(frozen=True, slots=True)
class Fractions:
    """Fractions of all records that do not count, each from 0 to 1."""

    invalid: float
    duplicates: float
    late: float

    @property
    def total(self) -> float:
        """The fraction of all records that do not count."""
        return self.invalid + self.duplicates + self.late

    def draw_kinds(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.uint8]:
        """Draw the kinds of ``count`` records that do not count."""
        too_large = min(_MAX_TOO_LARGE, self.invalid * _TOO_LARGE_OF_REJECTS)
        other = (self.invalid - too_large) / (len(REJECTS) - 1)
        shares = {EventKind.DUPLICATE: self.duplicates, EventKind.LATE: self.late}
        shares |= {kind: too_large if kind is EventKind.TOO_LARGE else other for kind in REJECTS}
        bounds = np.cumsum(list(shares.values()))
        drawn = np.searchsorted(bounds[:-1], rng.random(count) * bounds[-1], side="right")
        kinds: npt.NDArray[np.uint8] = np.array(list(shares), np.uint8)[drawn]
        return kinds


class Mixer:
    """Turns blocks of events into blocks of records."""

    def __init__(self, rng: np.random.Generator, fractions: Fractions, ms_per_event: float) -> None:
        """Prepare the mix; ``ms_per_event`` is the event time between records."""
        self._rng = rng
        self._fractions = fractions
        self._max_distance = max(1, min(MAX_DISTANCE_EVENTS, int(MAX_DISTANCE_MS / ms_per_event)))
        self._events = 0
        self._records = 0

    @property
    def max_distance(self) -> int:
        """Number of last counting events that a duplicate may repeat."""
        return self._max_distance

    def mix(self, events: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """Return the records of ``events``, the next of the stream, with others mixed in.

        A record that does not count comes right before an event and copies its fields.
        """
        rng = self._rng
        runs = rng.geometric(1 - self._fractions.total, len(events))
        source = np.repeat(np.arange(len(events)), runs)
        counts = np.zeros(len(source), bool)
        counts[np.cumsum(runs) - 1] = True
        kinds = events["kind"][source]
        kinds[~counts] = self._fractions.draw_kinds(rng, len(source) - len(events))
        before = self._events + source
        too_early = (kinds == EventKind.LATE) & (before < _EVENTS_BEFORE_LATE)
        too_early |= (kinds == EventKind.DUPLICATE) & (before == 0)
        keep = ~too_early
        source, kinds, before = source[keep], kinds[keep], before[keep]

        records = np.empty(len(source), RECORD)
        for name in EVENT.names or ():
            records[name] = events[name][source]
        records["kind"] = kinds
        records["serial"] = self._records + np.arange(len(records))
        reach = np.minimum(before, self._max_distance)
        records["original"] = before - 1 - (rng.random(len(records)) * reach).astype(np.int64)
        disorder = rng.exponential(_MEAN_DISORDER_MS, len(records))
        records["earlier_ms"] = np.minimum(disorder, _MAX_DISORDER_MS)
        late = kinds == EventKind.LATE
        records["earlier_ms"][late] = rng.integers(*_LATE_MS, late.sum())
        records["detail"] = rng.integers(0, 1 << 32, len(records), np.uint32)
        self._events += len(events)
        self._records += len(records)
        return records
