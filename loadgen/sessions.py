"""Sessions: a user watches videos one after the other, and reacts to some of them.

Many sessions run at the same time. This module uses no clock: each event has a place in the stream,
a fractional count of events, and places divide the stream into blocks.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from loadgen.kinds import EventKind
from loadgen.population import draw_devices

if TYPE_CHECKING:
    import numpy.typing as npt

    from loadgen.population import Population

#: Average number of events per block.
EVENTS_PER_BLOCK = 1 << 15

EVENT = np.dtype(
    [
        ("place", np.float64),
        ("user", np.int64),
        ("video", np.int64),
        ("session", np.int64),
        ("watched_ms", np.int32),
        ("position", np.int16),  # thousandths of the video
        ("kind", np.uint8),
        ("device", np.uint8),
    ]
)

_MEAN_VIEWS = 6.0
_MAX_VIEWS = 60
_REACTIONS = {
    EventKind.LIKE: 0.10,
    EventKind.COMMENT: 0.02,
    EventKind.SHARE: 0.015,
    EventKind.SAVE: 0.02,
    EventKind.FOLLOW: 0.01,
}
_MEAN_EVENTS = _MEAN_VIEWS * (1 + sum(_REACTIONS.values()))

# Parameters of the lognormal distribution of watch times.
_MEDIAN_WATCHED_MS = 8_000
_WATCHED_SIGMA = 0.9
_SHORTEST_MS, _LONGEST_MS = 300, 600_000
_MEAN_PAUSE_MS = 1_500
#: Default rate up to which sessions take as long as in real life. Future events of running sessions
#: are kept in memory, about 5 MB per event per millisecond. At higher rates sessions run faster, so
#: that memory does not grow.
MAX_EVENTS_PER_MS = 4.0
#: How long before the stream's first event the first sessions begin: about one session's length.
_WARM_UP_MS = 90_000


class SessionStream:
    """An endless stream of events; equal arguments give equal streams."""

    def __init__(
        self,
        rng: np.random.Generator,
        population: Population,
        ms_per_event: float,
        max_events_per_ms: float = MAX_EVENTS_PER_MS,
    ) -> None:
        """Prepare the stream.

        ``ms_per_event``: event time between events. ``max_events_per_ms``: the rate up to which
        sessions take as long as in real life.
        """
        self._rng = rng
        self._population = population
        self._events_per_ms = min(1.0 / ms_per_event, max_events_per_ms)
        self._block = -math.ceil(_WARM_UP_MS * self._events_per_ms / EVENTS_PER_BLOCK)
        self._sessions = 0
        self._later: dict[int, list[npt.NDArray[np.void]]] = {}
        while self._block < 0:
            self.next_block()

    def next_block(self) -> npt.NDArray[np.void]:
        """Return the next events in order, ``EVENTS_PER_BLOCK`` of them on average."""
        self._schedule(self._start_sessions(round(EVENTS_PER_BLOCK / _MEAN_EVENTS)))
        events = np.concatenate(self._later.pop(self._block, [np.empty(0, EVENT)]))
        self._block += 1
        return events[np.argsort(events["place"], kind="stable")]

    def _schedule(self, events: npt.NDArray[np.void]) -> None:
        """Assign ``events`` to blocks by their places."""
        events = events[np.argsort(events["place"], kind="stable")]
        blocks = (events["place"] // EVENTS_PER_BLOCK).astype(np.int64)
        for start, end in pairwise([*np.flatnonzero(np.diff(blocks, prepend=-1)), len(blocks)]):
            # Copy: a slice for a far block would keep all of these events in memory.
            self._later.setdefault(int(blocks[start]), []).append(events[start:end].copy())

    def _start_sessions(self, count: int) -> npt.NDArray[np.void]:
        """Return all events of ``count`` new sessions that begin in the current block."""
        rng = self._rng
        starts = (self._block + rng.random(count)) * EVENTS_PER_BLOCK
        users = self._population.users(rng, count)
        devices = draw_devices(rng, count)
        views = np.minimum(rng.geometric(1 / _MEAN_VIEWS, count), _MAX_VIEWS)

        session = np.repeat(np.arange(count), views)
        total = len(session)
        watched = np.exp(rng.normal(np.log(_MEDIAN_WATCHED_MS), _WATCHED_SIGMA, total))
        watched = np.clip(watched, _SHORTEST_MS, _LONGEST_MS)
        pauses = rng.exponential(_MEAN_PAUSE_MS, total)
        ends = np.cumsum(watched + pauses)
        first = np.cumsum(views) - views
        session_begin = (ends - watched - pauses)[first]
        # A view is reported when it ends.
        since_start = ends - pauses - session_begin[session]

        events = np.zeros(total, EVENT)
        events["place"] = starts[session] + since_start * self._events_per_ms
        events["user"] = users[session]
        events["video"] = self._population.videos(rng, total)
        events["session"] = self._sessions + session
        events["watched_ms"] = watched
        # The square root makes watching to the end more likely than stopping at once.
        events["position"] = np.sqrt(rng.random(total)) * 1000
        events["kind"] = EventKind.VIDEO_VIEW
        events["device"] = devices[session]
        self._sessions += count
        return np.concatenate([events, self._react(events, pauses)])

    def _react(
        self, views: npt.NDArray[np.void], pauses_ms: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.void]:
        """Return the reactions to ``views``, placed in the pauses after them."""
        chances = np.array(list(_REACTIONS.values()), np.float32)
        drawn = self._rng.random((len(views), len(chances)), np.float32) < chances
        view, reaction = np.nonzero(drawn)
        events = views[view]
        delays = self._rng.random(len(view)) * pauses_ms[view]
        events["place"] += delays * self._events_per_ms
        events["kind"] = np.array(list(_REACTIONS), np.uint8)[reaction]
        events["watched_ms"] = 0
        return events
