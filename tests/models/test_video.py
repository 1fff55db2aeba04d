"""Promises about a video's counters, in the rolling and in the tumbling window."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import CodecError
from models.video import EMPTY, VideoWindows
from models.windows import Slices
from tests.counted import of_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random


MINUTE, HOUR = 60_000, 3_600_000
NOON = 1_736_942_400_000  # 2025-01-15T12:00:00Z
STEP = 5 * MINUTE
VIDEOS = VideoWindows(Slices(2 * HOUR, STEP))
SMALL = VideoWindows(Slices(4, 1))

U32 = 2**32 - 1


def added(
    value: bytes | None,
    t: int,
    *,
    stream_time: int | None = None,
    views: int = 0,
    likes: int = 0,
    comments: int = 0,
    shares: int = 0,
) -> bytes:
    now = t if stream_time is None else stream_time
    return VIDEOS.apply(value, t // STEP, of_video(views, likes, comments, shares), now)


class TestWindows:
    """Views at 11:00, 13:58 and 14:02.

    ::

        11:00   12:00   13:00   14:00   15:00   16:00
          1       |       |     2 | 3     |       |
                  [---------------)                   tumbling at 13:59: 1 view
                                  [---------------)   tumbling at 14:02: 1 view
                   [----------------)                 rolling at 14:02 (12:05 to 14:05): 2 views
          [---------------)                           rolling at 12:55 (11:00 to 13:00): 1 view
    """

    def value(self) -> bytes:
        value = added(None, NOON - HOUR, views=1)
        value = VIDEOS.apply(
            value, (NOON + 118 * MINUTE) // STEP, of_video(1, 2, 3, 4), NOON + 55 * MINUTE
        )
        return VIDEOS.apply(
            value, (NOON + 122 * MINUTE) // STEP, of_video(1, 0, 0, 5), NOON + 55 * MINUTE
        )

    def test_the_tumbling_window_counts_what_lies_between_its_bounds(self) -> None:
        counts = VIDEOS.tumbling(self.value(), NOON + 119 * MINUTE)
        assert counts[:6] == (NOON, NOON + 2 * HOUR, 1, 2, 3, 4)
        counts = VIDEOS.tumbling(self.value(), NOON + 122 * MINUTE)
        assert counts[:6] == (NOON + 2 * HOUR, NOON + 4 * HOUR, 1, 0, 0, 5)

    def test_the_rolling_window_counts_across_the_bounds_of_the_tumbling_one(self) -> None:
        counts = VIDEOS.rolling(self.value(), NOON + 122 * MINUTE)
        assert counts[:6] == (NOON + 5 * MINUTE, NOON + 125 * MINUTE, 2, 2, 3, 9)
        assert counts.viral_coefficient == 6.0

    def test_the_rolling_window_leaves_a_video_behind_as_time_passes(self) -> None:
        assert VIDEOS.rolling(self.value(), NOON + 55 * MINUTE).views == 1
        assert VIDEOS.rolling(self.value(), NOON + 60 * MINUTE).views == 0
        assert VIDEOS.rolling(self.value(), NOON + 10 * HOUR).views == 0

    def test_the_series_has_the_steps_of_the_rolling_window_with_anything_in_them(self) -> None:
        steps = VIDEOS.series(self.value(), NOON + 122 * MINUTE)
        assert [step[:6] for step in steps] == [
            (NOON + 115 * MINUTE, NOON + 120 * MINUTE, 1, 2, 3, 4),
            (NOON + 120 * MINUTE, NOON + 125 * MINUTE, 1, 0, 0, 5),
        ]

    @pytest.mark.parametrize("value", [None, b"", EMPTY])
    def test_of_nothing_are_zeros_without_a_coefficient(self, value: bytes | None) -> None:
        counts = VIDEOS.rolling(value, NOON)
        assert set(counts[2:]) == {0}
        assert counts.viral_coefficient is None
        assert VIDEOS.series(value, NOON) == []
        assert VIDEOS.kept_views(value, NOON) == 0
        assert VIDEOS.detected_at(value) == 0


class TestApplying:
    def test_steps_that_no_open_window_has_are_dropped(self) -> None:
        value = added(added(None, NOON, views=1), NOON + 2 * HOUR, views=1)
        assert value == added(None, NOON + 2 * HOUR, views=1)

    def test_counts_for_such_a_step_are_dropped_as_well_and_nothing_may_be_left(self) -> None:
        value = added(None, NOON, views=5, stream_time=NOON + 2 * HOUR)
        assert value == EMPTY
        assert VIDEOS.is_expired(value, NOON + 2 * HOUR)

    def test_the_last_step_that_is_open_is_kept(self) -> None:
        value = added(None, NOON, views=5, stream_time=NOON + 2 * HOUR - STEP)
        assert VIDEOS.rolling(value, NOON + 2 * HOUR - STEP).views == 5

    def test_counters_stop_at_their_maximum(self) -> None:
        value = added(added(None, NOON, views=U32, shares=1), NOON, views=U32, shares=2)
        assert VIDEOS.rolling(value, NOON)[2:6] == (U32, 0, 0, 3)

    @given(
        st.lists(st.tuples(st.integers(0, 9), *[st.integers(0, 9)] * 4), max_size=20),
        st.randoms(),
        st.integers(0, 12),
    )
    def test_the_order_and_the_grouping_of_deltas_change_no_count(
        self, deltas: list[tuple[int, ...]], random: Random, at: int
    ) -> None:
        def after(rows: Iterable[tuple[int, ...]], stream_time: int) -> bytes | None:
            value = None
            for row in rows:
                value = SMALL.apply(value, row[0], of_video(*row[1:]), stream_time)
            return value

        value = after(deltas, 3)
        shuffled = list(deltas)
        random.shuffle(shuffled)
        assert after(shuffled, 3) == value
        kept = [row for row in deltas if at - 3 <= row[0] <= at]
        expected = tuple(sum(row[i] for row in kept) for i in range(1, 5))
        if at >= 3:
            assert SMALL.rolling(value, at)[2:6] == expected

    @given(
        st.lists(st.tuples(st.integers(0, 9), *[st.integers(0, 9)] * 4), max_size=20),
        st.integers(3, 12),
    )
    def test_the_sums_of_the_steps_of_a_window_are_its_counts(
        self, deltas: list[tuple[int, ...]], at: int
    ) -> None:
        value = None
        for row in deltas:
            value = SMALL.apply(value, row[0], of_video(*row[1:]), 3)
        for panes, counts in (
            (SMALL.slices.window_at(at), SMALL.rolling(value, at)),
            (SMALL.slices.tumbling_at(at), SMALL.tumbling(value, at)),
        ):
            steps = SMALL.steps(value, *panes)
            sums = tuple(sum(step[i] for step in steps) for i in range(2, 6))
            assert sums == counts[2:6]
            assert [step.start_ms for step in steps] == sorted({step.start_ms for step in steps})
        assert SMALL.series(value, at) == SMALL.steps(value, *SMALL.slices.window_at(at))

    @given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=20))
    def test_kept_views_bound_the_views_of_every_window_from_then_on(
        self, deltas: list[tuple[int, int]]
    ) -> None:
        value, now = None, 0
        for pane, views in deltas:
            now = max(now, pane)
            value = SMALL.apply(value, pane, of_video(views), now)
        kept = SMALL.kept_views(value, now)
        assert kept == SMALL.rolling(value, now).views
        assert all(SMALL.rolling(value, at).views <= kept for at in range(now, now + 6))
        assert SMALL.kept_views(value, now + 1) == SMALL.rolling(value, now + 1).views

    def test_views_ahead_of_stream_time_are_kept_views_too(self) -> None:
        value = SMALL.apply(None, 9, of_video(7), 0)
        assert SMALL.kept_views(value, 0) == 7


class TestExpiry:
    def test_a_video_expires_when_its_last_step_leaves_the_window(self) -> None:
        value = added(None, NOON, likes=1)
        assert not VIDEOS.is_expired(value, NOON + 2 * HOUR - 1)
        assert VIDEOS.is_expired(value, NOON + 2 * HOUR)

    def test_a_video_without_steps_is_expired(self) -> None:
        assert VIDEOS.is_expired(EMPTY, 0)
        assert VIDEOS.is_expired(VIDEOS.with_detected_at(EMPTY, NOON), NOON)


class TestDetection:
    def test_since_when_a_video_is_viral_is_kept_while_it_is_counted_on(self) -> None:
        value = VIDEOS.with_detected_at(added(None, NOON, views=1), NOON + 7)
        value = added(value, NOON + STEP, views=1)
        assert VIDEOS.detected_at(value) == NOON + 7
        assert VIDEOS.rolling(value, NOON + STEP).views == 2

    def test_it_may_be_taken_back(self) -> None:
        value = added(None, NOON, views=1)
        assert VIDEOS.with_detected_at(VIDEOS.with_detected_at(value, NOON), 0) == value


class TestValuesOfAnotherVersion:
    @pytest.mark.parametrize(
        "read",
        [
            lambda value: added(value, NOON, views=1),
            lambda value: VIDEOS.rolling(value, NOON),
            lambda value: VIDEOS.tumbling(value, NOON),
            lambda value: VIDEOS.series(value, NOON),
            lambda value: VIDEOS.kept_views(value, NOON),
            lambda value: VIDEOS.is_expired(value, NOON),
            VIDEOS.detected_at,
            lambda value: VIDEOS.with_detected_at(value, NOON),
        ],
    )
    def test_are_refused_by_name(self, read: Callable[[bytes], object]) -> None:
        for value in (b"\x09" + EMPTY[1:], b"\x09"):
            with pytest.raises(CodecError, match="version 9"):
                read(value)


def test_a_value_is_12_bytes_and_32_a_step() -> None:
    value = VIDEOS.with_detected_at(added(None, NOON, views=1, likes=2, comments=3, shares=4), NOON)
    assert value == struct.pack("<BxxxQ", 2, NOON) + struct.pack(
        "<6IQ", NOON // STEP, 1, 2, 3, 4, 0, 0
    )
