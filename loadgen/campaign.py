"""The campaign: a few videos that have to turn viral, early in the stream, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadgen.kinds import Kind

if TYPE_CHECKING:
    import numpy.typing as npt

EVENTS_PER_VIDEO = 3_400
"""Events that a video gets in the campaign: 1,020 views with 2.33 shares and comments each."""

_MIX = np.array(
    [
        Kind.VIDEO_VIEW,
        Kind.SHARE,
        Kind.COMMENT,
        Kind.VIDEO_VIEW,
        Kind.SHARE,
        Kind.COMMENT,
        Kind.VIDEO_VIEW,
        Kind.SHARE,
        Kind.COMMENT,
        Kind.SHARE,
    ],
    np.uint8,
)
_SHARE_OF_EVENTS = 0.4
_LARGEST_SHARE = 0.9
# What is drawn at random falls short of its share now and then.
_MARGIN = 1.1
# All that makes a video viral has to lie within one window, which moves on by steps.
_LONGEST_MS = 90 * 60_000
# Afterwards the videos stay viral: what they had in the campaign leaves the window in time.
_SHARE_AFTERWARDS = 0.02
# How long its videos are watched: 20 ms for each thousandth that is seen, and a second.
_SHORTEST_MS = 1_000
_MS_PER_POSITION = 20


class Campaign:
    """Turns a part of the sessions' events into events of the campaign's videos."""

    def __init__(
        self,
        rng: np.random.Generator,
        videos: int,
        viral: int,
        events: float | None = None,
        ms_per_event: float = 0.0,
    ) -> None:
        """Choose ``viral`` of ``videos`` videos; ``rng`` decides which.

        They turn viral within ``events`` events, where that is possible, ``ms_per_event``
        milliseconds of event time apart.
        """
        self._rng = rng
        self.videos: npt.NDArray[np.int64] = rng.choice(videos, viral, replace=False) + 1
        self._length = viral * EVENTS_PER_VIDEO
        self._done = 0
        of_events = self._length / events if events else 0.0
        of_time = EVENTS_PER_VIDEO * ms_per_event / _LONGEST_MS if viral else 0.0
        needed = _MARGIN * max(of_events, of_time)
        #: Whether all can turn viral.
        self.is_possible = needed <= _LARGEST_SHARE
        self.share = min(max(needed, _SHARE_OF_EVENTS), _LARGEST_SHARE)

    def apply(self, events: npt.NDArray[np.void]) -> None:
        """Change ``events`` in place: they are the next ones of the stream."""
        if not len(self.videos):
            return
        chances = self._rng.random(len(events))
        taken = np.flatnonzero(chances < self.share)
        left = max(0, self._length - self._done)
        if len(taken) > left:
            afterwards = np.flatnonzero(chances < _SHARE_AFTERWARDS)
            taken = np.concatenate([taken[:left], afterwards[afterwards >= taken[left]]])
        self._turn(events, taken)
        self._done += len(taken)

    def _turn(self, events: npt.NDArray[np.void], taken: npt.NDArray[np.int64]) -> None:
        """Make the events at ``taken`` those of the campaign that come next."""
        serial = self._done + np.arange(len(taken))
        after = serial - self._length
        video = np.where(after < 0, serial // EVENTS_PER_VIDEO, after % len(self.videos))
        step = np.where(after < 0, serial % EVENTS_PER_VIDEO, after // len(self.videos))
        kinds = _MIX[step % len(_MIX)]
        events["video"][taken] = self.videos[video]
        events["kind"][taken] = kinds
        watched = _SHORTEST_MS + events["position"][taken].astype(np.int32) * _MS_PER_POSITION
        events["watched_ms"][taken] = np.where(kinds == Kind.VIDEO_VIEW, watched, 0)
