"""Users and videos, a few of which have most of the traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

DEVICES = ("mobile", "desktop", "tablet", "tv")

_DEVICE_SHARES = (0.76, 0.12, 0.08, 0.04)
_USER_EXPONENT = 0.8
#: Flattens the head: the most active user has 67 times the mean number of events, which is 1 in
#: 1,500 events with 100,000 users.
_USERS_PER_OFFSET = 1000
_VIDEO_EXPONENT = 1.0
_VIDEOS_PER_CREATOR = 10


@dataclass(frozen=True, slots=True)
class HeavyTail:
    """Ranks from 0 to ``size`` - 1; rank r has the weight (r + offset) ** -exponent.

    This is the Zipf-Mandelbrot law, as a continuous distribution cut into ranks. A formula
    inverts it, so memory does not grow with the number of ranks.
    """

    size: int
    exponent: float
    offset: float

    def draw(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
        """Draw ``count`` ranks."""
        uniform = rng.random(count)
        low, high = self.offset, self.offset + self.size
        if self.exponent == 1.0:
            places = low * (high / low) ** uniform
        else:
            power = 1.0 - self.exponent
            places = (low**power + uniform * (high**power - low**power)) ** (1.0 / power)
        ranks: npt.NDArray[np.int64] = (places - low).astype(np.int64)
        return np.clip(ranks, 0, self.size - 1, out=ranks)


@dataclass(frozen=True, slots=True)
class Population:
    """All users and videos. Ids begin at 1, and id 1 has the most traffic."""

    user_ranks: HeavyTail
    video_ranks: HeavyTail
    set_aside: npt.NDArray[np.int64]
    """Sorted ids of videos without traffic of their own."""
    creators: int

    @classmethod
    def of(cls, users: int, videos: int, set_aside: npt.NDArray[np.int64]) -> Self:
        """Return a population of ``users`` users and ``videos`` videos."""
        offset = max(1.0, users / _USERS_PER_OFFSET)
        return cls(
            HeavyTail(users, _USER_EXPONENT, offset),
            HeavyTail(videos - len(set_aside), _VIDEO_EXPONENT, 1.0),
            np.sort(set_aside),
            max(1, videos // _VIDEOS_PER_CREATOR),
        )

    def users(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
        """Draw the users of ``count`` sessions."""
        return self.user_ranks.draw(rng, count) + 1

    def videos(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
        """Draw the videos of ``count`` views."""
        ids = self.video_ranks.draw(rng, count) + 1
        # Skip the ids set aside: their gaps tell how many of them are below an id.
        gaps = self.set_aside - np.arange(len(self.set_aside))
        return ids + np.searchsorted(gaps, ids, side="right")

    def creators_of(self, videos: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the creator of each of ``videos``, always the same one per video."""
        scattered = (videos * 2_654_435_761) & 0xFFFFFFFF
        return scattered % self.creators + 1


def draw_devices(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint8]:
    """Draw the devices of ``count`` sessions, as indexes of DEVICES."""
    bounds = np.cumsum(_DEVICE_SHARES)[:-1]
    return np.searchsorted(bounds, rng.random(count), side="right").astype(np.uint8)
