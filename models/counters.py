"""The counters of users, videos and creators, declared once.

Derived from these declarations: the packed rows (models.panes) and their older layouts, the
offsets of the compiled form, delta records, sums over panes, the fields of answers and series with
their schemas, the audit's recount and comparison, the benchmarks' rows and the dashboard's columns.

A new counter goes behind the others, and raises its entity's version: the counter's ``since``.
docs/how-to/add-a-metric.md lists all steps. accelerator.counters has the declarations as offsets,
compiled.
"""

from typing import Annotated, Final, NamedTuple

from models.entity import (
    COUNT,
    MINUTES,
    PART_OR_NULL,
    POSITION_UNITS,
    RATIO,
    RATIO_OR_NULL,
    Counter,
    Entity,
    Shown,
)
from models.quotients import Quotient
from models.viral import REACTIONS

MINUTES_WATCHED: Final = Quotient("watch_ms", unit=60_000, without=0.0)
LIKES_PER_VIEW: Final = Quotient("likes", under="views", without=0.0)
COEFFICIENT: Final = Quotient(*REACTIONS, under="views", without=None)
# The counter of positions may saturate before their sum does: keep the mean at 1 or below.
MEAN_POSITION: Final = Quotient(
    "position_sum", under="positions", unit=POSITION_UNITS, most=1.0, without=None
)


class UserCounts(NamedTuple):
    """Counts of a user in [start_ms, end_ms): a window, or a pane of one step."""

    start_ms: int
    end_ms: int
    views: Annotated[int, Counter("I", "video_view")]
    likes: Annotated[int, Counter("I", "like")]
    watch_ms: Annotated[int, Counter("Q", "video_view", "view_duration_ms")]
    positions: Annotated[int, Counter("I", "video_view", "positions", since=4)]
    position_sum: Annotated[int, Counter("Q", "video_view", "video_position", since=4)]

    @property
    def total_engagement_minutes(self) -> float:
        """Minutes watched."""
        return MINUTES_WATCHED.of(self)

    @property
    def engagement_rate(self) -> float:
        """Likes per view, 0.0 without views."""
        return LIKES_PER_VIEW.of(self)

    @property
    def average_completion(self) -> float | None:
        """Mean position of the views that have one; None without."""
        return MEAN_POSITION.of(self)


class VideoCounts(NamedTuple):
    """Counts of a video in [start_ms, end_ms): a window, or a pane of one step."""

    start_ms: int
    end_ms: int
    views: Annotated[int, Counter("I", "video_view")]
    likes: Annotated[int, Counter("I", "like")]
    comments: Annotated[int, Counter("I", "comment")]
    shares: Annotated[int, Counter("I", "share")]
    positions: Annotated[int, Counter("I", "video_view", "positions", since=2)]
    position_sum: Annotated[int, Counter("Q", "video_view", "video_position", since=2)]

    @property
    def viral_coefficient(self) -> float | None:
        """(shares + comments) / views, None without views."""
        return COEFFICIENT.of(self)

    @property
    def average_completion(self) -> float | None:
        """Mean position of the views that have one; None without."""
        return MEAN_POSITION.of(self)


class CreatorCounts(NamedTuple):
    """Counts of a creator in [start_ms, end_ms): a window, or a pane of one step."""

    start_ms: int
    end_ms: int
    views: Annotated[int, Counter("I", "video_view")]
    likes: Annotated[int, Counter("I", "like")]
    comments: Annotated[int, Counter("I", "comment")]
    shares: Annotated[int, Counter("I", "share")]
    follows: Annotated[int, Counter("I", "follow")]
    watch_ms: Annotated[int, Counter("Q", "video_view", "view_duration_ms")]
    positions: Annotated[int, Counter("I", "video_view", "positions")]
    position_sum: Annotated[int, Counter("Q", "video_view", "video_position")]

    @property
    def total_engagement_minutes(self) -> float:
        """Minutes watched."""
        return MINUTES_WATCHED.of(self)

    @property
    def average_completion(self) -> float | None:
        """Mean position of the views that have one; None without."""
        return MEAN_POSITION.of(self)


#: Versions 1 to 3 differ in the layout of the ids before the rows; see models.dedup.
USER: Final = Entity(
    "user",
    UserCounts,
    version=4,
    answer=(
        Shown("total_videos_watched", COUNT, "videos watched", of="views"),
        Shown("total_engagement_minutes", MINUTES, "minutes watched", quotient=MINUTES_WATCHED),
        Shown("likes", COUNT, "likes"),
        Shown("engagement_rate", RATIO, "likes per view", quotient=LIKES_PER_VIEW),
        Shown("average_completion", PART_OR_NULL, "average completion", quotient=MEAN_POSITION),
    ),
    steps=(
        Shown("views", COUNT),
        Shown("likes", COUNT),
        Shown("watch_ms", COUNT),
        Shown("positions", COUNT),
        Shown("average_completion", PART_OR_NULL, quotient=MEAN_POSITION),
    ),
)

#: Its version is that of table values and of delta records.
VIDEO: Final = Entity(
    "video",
    VideoCounts,
    version=2,
    answer=(
        Shown("views", COUNT, "views"),
        Shown("likes", COUNT, "likes"),
        Shown("comments", COUNT, "comments"),
        Shown("shares", COUNT, "shares"),
        Shown("viral_coefficient", RATIO_OR_NULL, "viral coefficient", quotient=COEFFICIENT),
        Shown("average_completion", PART_OR_NULL, "average completion", quotient=MEAN_POSITION),
    ),
    steps=(
        Shown("views", COUNT),
        Shown("likes", COUNT),
        Shown("comments", COUNT),
        Shown("shares", COUNT),
        Shown("positions", COUNT),
        Shown("average_completion", PART_OR_NULL, quotient=MEAN_POSITION),
    ),
)

#: Its version is that of table values and of delta records.
CREATOR: Final = Entity(
    "creator",
    CreatorCounts,
    version=1,
    answer=(
        Shown("views", COUNT, "views"),
        Shown("likes", COUNT, "likes"),
        Shown("comments", COUNT, "comments"),
        Shown("shares", COUNT, "shares"),
        Shown("follows", COUNT, "follows"),
        Shown("total_engagement_minutes", MINUTES, "minutes watched", quotient=MINUTES_WATCHED),
        Shown("average_completion", PART_OR_NULL, "average completion", quotient=MEAN_POSITION),
    ),
    steps=(
        Shown("views", COUNT),
        Shown("likes", COUNT),
        Shown("comments", COUNT),
        Shown("shares", COUNT),
        Shown("follows", COUNT),
        Shown("watch_ms", COUNT),
        Shown("positions", COUNT),
        Shown("average_completion", PART_OR_NULL, quotient=MEAN_POSITION),
    ),
)

#: Entities whose tables receive sums, keep only panes, and answer with one hopping window.
SUMMED: Final = (CREATOR,)

ENTITIES: Final = (USER, VIDEO, *SUMMED)
