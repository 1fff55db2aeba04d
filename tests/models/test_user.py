"""Promises about a user's metrics, lateness and duplicates."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.counters import USER
from models.errors import CodecError
from models.user import EMPTY, UserWindows
from models.windows import Slices
from tests.models.one_value import apply_to_value

if TYPE_CHECKING:
    from collections.abc import Callable


MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOON = 1_736_942_400_000  # 2025-01-15T12:00:00Z
CLOCK_TURNS = 405 * 2**32
"""A time, in 2025, at which the ids' clock of 32 bits goes from its maximum to 0."""

USERS = UserWindows(Slices(DAY, 15 * MINUTE), HOUR)
SMALL = UserWindows(Slices(HOUR, 15 * MINUTE), 20 * MINUTE)


def apply(value: bytes | None, *event: Any, windows: UserWindows = SMALL) -> bytes | None:
    return apply_to_value(windows, value, *event)


def view(
    value: bytes | None,
    t: int,
    event_id: int,
    stream_time: int | None = None,
    *,
    watched: int = 1000,
    windows: UserWindows = SMALL,
) -> bytes | None:
    return apply(value, "video_view", t, watched, event_id, stream_time or t, windows=windows)


def counts(value: bytes | None, at: int, windows: UserWindows = SMALL) -> tuple[int, int, int]:
    metrics = windows.metrics(value, at)
    return metrics.views, metrics.likes, metrics.watch_ms


def steps(value: bytes | None, at: int) -> list[tuple[Any, ...]]:
    return [step[:5] for step in SMALL.series(value, at)]


class TestMetrics:
    """Views of 1 s each, in a window of an hour by 15 minutes.

    ::

        11:15   11:30   11:45   12:00   12:15   12:30
          |       |   1   |       | 2 3   |       |
          [-------------------------------)           at 12:00: 3 views
                  [-------------------------------)   at 12:15: 3 views
                          [--------------- ...        at 12:30: 2 views
    """

    def value(self) -> bytes | None:
        value = view(None, NOON - 20 * MINUTE, 1)
        value = view(value, NOON + 5 * MINUTE, 2)
        return view(value, NOON + 10 * MINUTE, 3)

    @pytest.mark.parametrize(
        ("minutes", "views"),
        [
            (0, 3),
            (10, 3),
            (29, 3),
            (30, 2),
            (59, 2),
            (60, 0),
            (600, 0),
            (-15, 1),
            (-30, 1),
            (-31, 0),
        ],
    )
    def test_views_are_counted_while_their_step_lies_in_the_window(
        self, minutes: int, views: int
    ) -> None:
        at = NOON + minutes * MINUTE
        assert counts(self.value(), at) == (views, 0, views * 1000)

    def test_the_window_is_told_with_its_bounds(self) -> None:
        metrics = SMALL.metrics(self.value(), NOON)
        assert (metrics.start_ms, metrics.end_ms) == (
            NOON - 45 * MINUTE,
            NOON + 15 * MINUTE,
        )

    def test_a_smaller_window_counts_only_the_latest_steps(self) -> None:
        metrics = SMALL.metrics(self.value(), NOON + 10 * MINUTE, 15 * MINUTE)
        assert (metrics.views, metrics.end_ms - metrics.start_ms) == (2, 15 * MINUTE)
        with pytest.raises(ValueError, match="multiple of 15m up to 1h"):
            SMALL.metrics(self.value(), NOON, 2 * HOUR)

    def test_minutes_and_rate_are_those_of_the_contract(self) -> None:
        value = None
        for event_id in range(12):
            value = apply(value, "video_view", NOON, 16_250, event_id, NOON, windows=USERS)
        for event_id in range(12, 15):
            value = apply(value, "like", NOON, 99_999, event_id, NOON, windows=USERS)
        metrics = USERS.metrics(value, NOON)
        assert (metrics.views, metrics.likes) == (12, 3)
        assert metrics.total_engagement_minutes == 3.25
        assert metrics.engagement_rate == 0.25

    def test_without_views_the_rate_is_zero(self) -> None:
        value = apply(None, "like", NOON, 0, 1, NOON, windows=USERS)
        assert USERS.metrics(value, NOON).engagement_rate == 0.0

    @pytest.mark.parametrize("value", [None, b"", EMPTY])
    def test_of_nothing_are_zeros(self, value: bytes | None) -> None:
        assert counts(value, NOON) == (0, 0, 0)
        assert SMALL.series(value, NOON) == []

    @pytest.mark.parametrize("kind", ["comment", "share", "save", "follow"])
    def test_other_types_count_as_nothing_but_leave_the_user_known(self, kind: str) -> None:
        value = apply(None, kind, NOON, 5000, 1, NOON)
        assert counts(value, NOON) == (0, 0, 0)
        assert steps(value, NOON) == [(NOON, NOON + 15 * MINUTE, 0, 0, 0)]
        assert value is not None
        assert not SMALL.is_expired(value, NOON)

    def test_the_series_has_the_steps_of_the_window_with_anything_in_them(self) -> None:
        assert steps(self.value(), NOON) == [
            (NOON - 30 * MINUTE, NOON - 15 * MINUTE, 1, 0, 1000),
            (NOON, NOON + 15 * MINUTE, 2, 0, 2000),
        ]

    def test_counters_stop_at_their_maximum(self) -> None:
        full = USER.rows.pack(
            NOON // (15 * MINUTE), 2**32 - 1, 2**32 - 1, 2**64 - 1, *USER.nothing[3:]
        )
        value = view(EMPTY + full, NOON, 1)
        assert counts(value, NOON) == (2**32 - 1, 2**32 - 1, 2**64 - 1)
        value = apply(value, "like", NOON, 0, 2, NOON)
        assert counts(value, NOON) == (2**32 - 1, 2**32 - 1, 2**64 - 1)


class TestLateness:
    """At a stream time of 12:20 the window of an hour begins at 11:30."""

    @pytest.mark.parametrize(
        ("minutes", "late"), [(-31, True), (-30, False), (20, False), (99, False)]
    )
    def test_an_event_is_late_when_its_step_has_left_the_window(
        self, minutes: int, late: bool
    ) -> None:
        assert SMALL.is_late(NOON + minutes * MINUTE, NOON + 20 * MINUTE) == late

    def test_the_first_event_of_a_partition_is_never_late(self) -> None:
        assert not SMALL.is_late(0, None)

    def test_before_1970_is_late_always(self) -> None:
        assert SMALL.is_late(-1, None)
        assert SMALL.is_late(-1, 0)

    @given(st.integers(0, 2**45), st.integers(0, 2**45))
    def test_late_is_what_the_slices_do_not_keep(self, t: int, stream_time: int) -> None:
        kept_from = SMALL.slices.kept_from(stream_time)
        assert SMALL.is_late(t, stream_time) == (SMALL.slices.pane_of(t) < kept_from)


class TestDuplicates:
    """A horizon of 20 minutes, in stream time.

    ::

        12:00 id 7 applied      12:20 still a duplicate
          |-----------------------|x
                                   12:20:00.001 counts again
    """

    def test_an_id_is_a_duplicate_up_to_the_horizon_and_counts_again_after_it(self) -> None:
        value = view(None, NOON, 7)
        assert view(value, NOON, 7) is None
        assert view(value, NOON + 20 * MINUTE, 7) is None
        again = view(value, NOON + 20 * MINUTE + 1, 7)
        assert counts(again, NOON + 20 * MINUTE + 1)[0] == 2

    def test_stream_time_decides_not_the_time_of_the_event(self) -> None:
        value = view(None, NOON, 7, NOON + 10 * MINUTE)
        assert view(value, NOON, 7, NOON + 30 * MINUTE) is None
        assert view(value, NOON, 7, NOON + 30 * MINUTE + 1) is not None

    def test_another_type_of_event_with_the_same_id_is_a_duplicate_too(self) -> None:
        value = view(None, NOON, 7)
        assert apply(value, "like", NOON, 0, 7, NOON) is None
        value = apply(None, "follow", NOON, 0, 7, NOON)
        assert apply(value, "like", NOON, 0, 7, NOON) is None

    def test_an_id_is_remembered_after_its_step_has_left_the_window(self) -> None:
        windows = UserWindows(Slices(15 * MINUTE, 5 * MINUTE), HOUR)
        value = view(None, NOON, 7, windows=windows)
        assert counts(value, NOON + 30 * MINUTE, windows)[0] == 0
        assert value is not None
        assert not windows.is_expired(value, NOON + HOUR)
        assert view(value, NOON + HOUR, 7, windows=windows) is None
        assert windows.is_expired(value, NOON + HOUR + 1)

    def test_bytes_that_look_like_an_id_across_two_entries_are_none(self) -> None:
        first, second = 0x1111111111111111, 0x2222222222222222
        value = view(view(None, NOON, first), NOON, second)
        assert value is not None
        seen = value[4:28]
        for at in range(1, 16):
            if at != 12:
                (straddling,) = struct.unpack_from("<Q", seen, at)
                assert view(value, NOON, straddling) is not None, at
        assert view(value, NOON, second) is None

    def test_an_id_is_found_behind_bytes_that_only_look_like_it(self) -> None:
        target = 0x4444444444444444
        # The stream time's own bytes continue the pattern, so that it is found at a wrong place.
        now = 0x44444444
        value = apply(None, "like", now, 0, target, now)
        value = apply(value, "like", now, 0, 5, now)
        assert apply(value, "like", now, 0, target, now) is None

    def test_a_full_counter_does_not_forget_an_id(self) -> None:
        full = USER.rows.pack(NOON // (15 * MINUTE), 2**32 - 1, *USER.nothing[1:])
        value = view(EMPTY + full, NOON, 7)
        assert view(value, NOON, 7) is None

    def test_ids_past_the_horizon_take_no_space(self) -> None:
        value = None
        for event_id in range(15):
            value = view(value, NOON, event_id)
        later = view(value, NOON + 20 * MINUTE + 1, 100)
        assert later is not None
        assert len(later) == 4 + 12 + 2 * USER.rows.size

    def test_the_ids_clock_may_turn_over_between_two_events(self) -> None:
        value = view(None, CLOCK_TURNS - 1, 7)
        assert view(value, CLOCK_TURNS, 7) is None
        assert view(value, CLOCK_TURNS - 1 + 20 * MINUTE, 7) is None
        assert view(value, CLOCK_TURNS + 20 * MINUTE, 7) is not None

    @pytest.mark.parametrize("turns", [1, 2, 100])
    @pytest.mark.parametrize("minutes", [-20, 0, 1, 20])
    def test_an_absence_of_whole_turns_of_the_clock_is_no_duplicate(
        self, turns: int, minutes: int
    ) -> None:
        value = view(view(None, NOON, 7), NOON + 10 * MINUTE, 8)
        later = NOON + turns * 2**32 + minutes * MINUTE
        assert value is not None
        assert SMALL.is_expired(value, later)
        after = view(value, later, 7)
        assert counts(after, later)[0] == 1
        assert after is not None
        assert len(after) == 4 + 12 + USER.rows.size


class TestValuesOfAnotherVersion:
    value = b"\x07" + (view(None, NOON, 7) or b"")[1:]

    @pytest.mark.parametrize(
        "read",
        [
            lambda value: view(value, NOON, 8),
            lambda value: SMALL.metrics(value, NOON),
            lambda value: SMALL.series(value, NOON),
            lambda value: SMALL.is_expired(value, NOON),
        ],
        ids=["apply", "metrics", "series", "is_expired"],
    )
    def test_are_refused_by_name(self, read: Callable[[bytes], object]) -> None:
        for value in (self.value, b"\x07", b"\x07\x00\x00\x00"):
            with pytest.raises(CodecError, match="version 7"):
                read(value)


@pytest.mark.parametrize("horizon", [-1, 2**31])
def test_a_horizon_that_the_clock_cannot_tell_is_refused(horizon: int) -> None:
    with pytest.raises(ValueError, match="horizon"):
        UserWindows(Slices(HOUR, 15 * MINUTE), horizon)
