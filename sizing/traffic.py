"""Bytes that producers and workers send to the brokers."""

from __future__ import annotations

from math import exp, log1p
from typing import TYPE_CHECKING, Final, NamedTuple

from models.counters import CREATOR, USER, VIDEO

if TYPE_CHECKING:
    from sizing.costs import Costs
    from sizing.demand import Assumptions, Demand, Windows
    from sizing.users import User

#: As in loadgen.population.
VIDEOS_PER_CREATOR: Final = 10

#: A row of sums begins with the key; the rest is a pane's row.
KEY_BYTES: Final = 8

_STEPS: Final = 200


class Commits(NamedTuple):
    """The commits of all workers."""

    workers: int
    partitions: int
    between_s: float
    """Seconds from a worker's commit to its next."""

    @property
    def markers_per_s(self) -> float:
        """Transaction markers/s: own changelogs, and the sums' partitions of other workers."""
        return (2 * self.workers + 1) * self.partitions / self.between_s


class Sums(NamedTuple):
    """What commits write to and send for the tables of videos and creators."""

    videos_per_s: float
    """Rows of videos that commits write; likewise of creators."""
    creators_per_s: float
    sent_per_s: float
    """Sums to partitions of other workers, each with those of its creator."""
    video_bytes: int
    """Bytes of a row with all panes; likewise of creators, 0 without their table."""
    creator_bytes: int
    creator_sum_bytes: int
    panes_per_s: float
    """Panes in the rows that commits write."""
    table_bytes: float
    """Bytes of all rows."""

    @property
    def rows_per_s(self) -> float:
        """Rows that commits write."""
        return self.videos_per_s + self.creators_per_s


class Traffic(NamedTuple):
    """Bytes per second, one copy of each."""

    events: float
    users: float
    """Changelog of the users; likewise of videos and creators."""
    videos: float
    creators: float
    sums: float

    @property
    def changelogs(self) -> float:
        """All changelogs together."""
        return self.users + self.videos + self.creators

    @property
    def total(self) -> float:
        """All of it."""
        return self.events + self.changelogs + self.sums


def sums_of(demand: Demand, windows: Windows, commits: Commits) -> Sums:
    """Return what commits write for videos and creators, if all their panes are filled."""
    rate, between_s = demand.events_per_s, commits.between_s
    has_creators, creators = windows.has_creators, demand.videos / VIDEOS_PER_CREATOR
    videos_per_s = distinct(rate * between_s, demand.videos) / between_s
    creators_per_s = min(videos_per_s, creators / between_s) if has_creators else 0.0
    # Each partition of users sends one sum per video and commit.
    in_one = distinct(rate * between_s / commits.partitions, demand.videos)
    video_bytes = round(windows.video_panes * VIDEO.rows.size)
    creator_bytes = round(windows.user_panes * CREATOR.rows.size) if has_creators else 0
    return Sums(
        videos_per_s=videos_per_s,
        creators_per_s=creators_per_s,
        sent_per_s=in_one * commits.partitions / between_s * (1 - 1 / commits.workers),
        video_bytes=video_bytes,
        creator_bytes=creator_bytes,
        creator_sum_bytes=KEY_BYTES + CREATOR.rows.size if has_creators else 0,
        panes_per_s=videos_per_s * windows.video_panes + creators_per_s * windows.user_panes,
        table_bytes=demand.videos * video_bytes + creators * creator_bytes,
    )


def traffic_of(
    demand: Demand, assumed: Assumptions, costs: Costs, user: User, sums: Sums
) -> Traffic:
    """Return what a load sends: per event its user's value, per commit one row per changed key."""
    rate = demand.events_per_s
    return Traffic(
        events=rate * assumed.event_bytes,
        users=rate * (costs.changelog_bytes.at(user.ids) + (user.panes - 1) * USER.rows.size),
        videos=sums.videos_per_s * sums.video_bytes,
        creators=sums.creators_per_s * sums.creator_bytes,
        sums=sums.sent_per_s * (KEY_BYTES + VIDEO.rows.size + sums.creator_sum_bytes),
    )


def distinct(draws: float, videos: int) -> float:
    """Return how many of ``videos`` are expected among so many draws.

    The share of the r-th is proportional to 1 / r, as in loadgen.population. This is the integral
    of 1 - exp(-draws * share) over the ranks, on a logarithmic scale.
    """
    top = log1p(videos)
    width = top / _STEPS
    middles = (exp((step + 0.5) * width) for step in range(_STEPS))
    found = sum((1 - exp(-draws / top / rank)) * rank for rank in middles) * width
    return min(found, draws, float(videos))
