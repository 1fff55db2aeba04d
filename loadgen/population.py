"""Who acts, and on what: users and videos of which a few have most of the traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

DEVICES = ("mobile", "desktop", "tablet", "tv")

_DEVICE_SHARES = (0.76, 0.12, 0.08, 0.04)
_USER_EXPONENT = 0.8
# Flattens the head: the most active of 100,000 users has 1 event in 1,500, whatever their number.
_USERS_PER_OFFSET = 1000
_VIDEO_EXPONENT = 1.0
_VIDEOS_PER_CREATOR = 10


@dataclass(frozen=True, slots=True)
class HeavyTail:
    """Ranks from 0 to ``size`` - 1, rank r drawn in proportion to (r + offset) ** -exponent.

    That is the law of Zipf and Mandelbrot, as a continuous distribution cut into ranks: it is
    inverted by a formula, so that ten million ranks take no more memory than ten.
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
    """All users and videos. Ids begin at 1, and 1 is the most active of its kind."""

    user_ranks: HeavyTail
    video_ranks: HeavyTail
    set_aside: npt.NDArray[np.int64]
    """Sorted ids of videos that get no traffic of their own."""
    creators: int

    @classmethod
    def of(cls, users: int, videos: int, set_aside: npt.NDArray[np.int64]) -> Self:
        """Describe ``users`` users and ``videos`` videos."""
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
        # Step over the ids set aside: how many of them are below is known from their gaps.
        gaps = self.set_aside - np.arange(len(self.set_aside))
        return ids + np.searchsorted(gaps, ids, side="right")

    def creators_of(self, videos: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return who made each of ``videos``: always the same creator for a video."""
        scattered = (videos * 2_654_435_761) & 0xFFFFFFFF
        return scattered % self.creators + 1


def draw_devices(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint8]:
    """Draw the devices of ``count`` sessions, as indexes of DEVICES."""
    bounds = np.cumsum(_DEVICE_SHARES)[:-1]
    return np.searchsorted(bounds, rng.random(count), side="right").astype(np.uint8)
