"""Promises about the mean position that views of a user or of a video reach."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.counters import USER, VIDEO
from models.schema import Metadata
from models.user import UserWindows
from models.video import VideoWindows
from models.windows import Slices
from reels import UserMetricsTracker
from tests.counted import of_user

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from models.counters import UserCounts, VideoCounts


MINUTE, HOUR = 60_000, 3_600_000
NOON = 1_736_942_400_000  # 2025-01-15T12:00:00Z
USERS = UserWindows(Slices(24 * HOUR, 15 * MINUTE), HOUR)
VIDEOS = VideoWindows(Slices(2 * HOUR, 5 * MINUTE))
POSITIONS = st.none() | st.floats(0, 1) | st.integers(0, 10**6).map(lambda n: n / 10**6)


def after(positions: Sequence[float | None]) -> tuple[UserCounts | VideoCounts, ...]:
    """Return the counts of a user or of a video after views with these positions."""
    rows: dict[bytes, bytes | None] = {}
    video = None
    for number, position in enumerate(positions):
        t = NOON + number % 3 * 15 * MINUTE
        assert USERS.apply(rows, b"1", of_user("video_view", 0, position), t, number, t)
        more = VIDEO.increments("video_view", Metadata(0, position))
        video = VIDEOS.apply(video, t // (5 * MINUTE), more, NOON)
    at = NOON + 30 * MINUTE
    return USERS.metrics(rows.get(b"1"), at), VIDEOS.rolling(video, at)


@given(st.lists(POSITIONS, max_size=20), st.randoms())
def test_it_is_the_mean_of_the_positions_given_in_whichever_order(
    positions: list[float | None], random: Random
) -> None:
    """Within a billionth of the exact mean, and the same for any order of views."""
    shuffled = list(positions)
    random.shuffle(shuffled)
    given_ones = [Fraction(position) for position in positions if position is not None]
    for counts, others in zip(after(positions), after(shuffled), strict=True):
        found = counts.average_completion
        assert found == others.average_completion
        if found is None:
            assert not given_ones
        else:
            mean = sum(given_ones, Fraction(0)) / len(given_ones)
            assert abs(Fraction(found) - mean) <= Fraction(1, 10**9)


@pytest.mark.parametrize("kind", ["like", "comment", "share", "save", "follow"])
def test_only_views_have_a_position(kind: str) -> None:
    """A position that came with another event is not counted."""
    for entity in (USER, VIDEO):
        assert entity.increments(kind, Metadata(5, 0.5))[-2:] == (0, 0)


def test_a_users_is_none_until_a_view_gives_a_position() -> None:
    """Unknown is not 0."""
    tracker = UserMetricsTracker()
    event = {"event_type": "video_view", "user_id": 1, "video_id": 2}
    event |= {"timestamp": "2025-01-15T12:00:00Z", "event_id": "a"}
    tracker.update_user_metrics(1, event)
    assert tracker.get_user_metrics(1)["average_completion"] is None
    for number, position in enumerate([0, 1, 0.25]):
        more = {"event_id": str(number), "metadata": {"video_position": position}}
        tracker.update_user_metrics(1, event | more)
    assert tracker.get_user_metrics(1)["average_completion"] == pytest.approx(1.25 / 3, abs=1e-9)


def test_full_counters_never_make_more_than_a_whole() -> None:
    """Counters stop at their maximum, and a mean stays between 0 and 1."""
    nothing = USERS.metrics(None, NOON)
    full = nothing._replace(positions=2**32 - 1, position_sum=2**64 - 1)
    assert full.average_completion == 1.0
