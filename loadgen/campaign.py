"""The campaign: a few videos that turn viral early in the stream, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadgen.kinds import EventKind

if TYPE_CHECKING:
    import numpy.typing as npt

#: Events of a video in the campaign: 1,020 views, with 2.33 shares and comments per view.
EVENTS_PER_VIDEO = 3_400

_MIX = np.array(
    [
        EventKind.VIDEO_VIEW,
        EventKind.SHARE,
        EventKind.COMMENT,
        EventKind.VIDEO_VIEW,
        EventKind.SHARE,
        EventKind.COMMENT,
        EventKind.VIDEO_VIEW,
        EventKind.SHARE,
        EventKind.COMMENT,
        EventKind.SHARE,
    ],
    np.uint8,
)
_SHARE_OF_EVENTS = 0.4
_LARGEST_SHARE = 0.9
#: Random draws may fall short of their share.
_MARGIN = 1.1
#: The events that make a video viral must lie in one window, which moves by steps.
_LONGEST_MS = 90 * 60_000
#: Keeps the videos viral after the campaign, when its events have left the window.
_SHARE_AFTERWARDS = 0.02
# Watch time of its videos: 1 s, plus 20 ms per thousandth of the video.
_SHORTEST_MS = 1_000
_MS_PER_POSITION = 20


class Campaign:
    """Turns some of the sessions' events into events of the campaign's videos."""

    def __init__(
        self,
        rng: np.random.Generator,
        videos: int,
        viral: int,
        events: float | None = None,
        ms_per_event: float = 0.0,
    ) -> None:
        """Choose ``viral`` of ``videos`` videos by ``rng``.

        They turn viral within ``events`` events if possible. ``ms_per_event`` is the event time
        between events, in milliseconds.
        """
        self._rng = rng
        self.videos: npt.NDArray[np.int64] = rng.choice(videos, viral, replace=False) + 1
        self._length = viral * EVENTS_PER_VIDEO
        self._done = 0
        of_events = self._length / events if events else 0.0
        of_time = EVENTS_PER_VIDEO * ms_per_event / _LONGEST_MS if viral else 0.0
        needed = _MARGIN * max(of_events, of_time)
        #: Whether all videos can turn viral.
        self.is_possible = needed <= _LARGEST_SHARE
        self.share = min(max(needed, _SHARE_OF_EVENTS), _LARGEST_SHARE)

    def apply(self, events: npt.NDArray[np.void]) -> None:
        """Change ``events``, the next of the stream, in place."""
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
        """Turn the events at ``taken`` into the next events of the campaign."""
        serial = self._done + np.arange(len(taken))
        after = serial - self._length
        video = np.where(after < 0, serial // EVENTS_PER_VIDEO, after % len(self.videos))
        step = np.where(after < 0, serial % EVENTS_PER_VIDEO, after // len(self.videos))
        kinds = _MIX[step % len(_MIX)]
        events["video"][taken] = self.videos[video]
        events["kind"][taken] = kinds
        watched = _SHORTEST_MS + events["position"][taken].astype(np.int32) * _MS_PER_POSITION
        events["watched_ms"][taken] = np.where(kinds == EventKind.VIDEO_VIEW, watched, 0)
