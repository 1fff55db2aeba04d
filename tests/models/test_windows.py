"""Promises about durations, and about the panes of a window."""

from __future__ import annotations

from collections import Counter

import pytest
from faust.windows import HoppingWindow, TumblingWindow
from hypothesis import given
from hypothesis import strategies as st

from models.windows import (
    MAX_PANES,
    Slices,
    format_duration,
    format_mixed,
    parse_duration,
    parse_mixed,
)

MINUTE, HOUR = 60_000, 3_600_000
NOON = 1_736_942_400_000  # 2025-01-15T12:00:00Z

STEPS = st.integers(1, 3600)
SLICES = st.builds(
    lambda step_s, panes: Slices(step_s * panes * 1000, step_s * 1000), STEPS, st.integers(1, 100)
)
TIMES = st.lists(st.integers(0, 200_000_000), min_size=1, max_size=40)


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "ms"),
        [("100ms", 100), ("1s", 1000), ("15m", 900_000), ("24h", 86_400_000), ("7d", 604_800_000)],
    )
    def test_are_read_and_written(self, text: str, ms: int) -> None:
        assert parse_duration(text) == ms
        assert parse_duration(format_duration(ms)) == ms

    @pytest.mark.parametrize(
        "text",
        [
            *("", "15", "m", "0m", "-1m", "1.5h", "1e3s", " 15m", "15m ", "15 m", "15M", "15min"),
            *("1h30m", "15m\n", "\u0661\u0665m", "9" * 5000 + "s", "1_0s", "+1s"),
        ],
    )
    def test_that_cannot_be_read_say_what_is_allowed(self, text: str) -> None:
        with pytest.raises(ValueError, match="ms, s, m, h or d"):
            parse_duration(text)

    @given(st.integers(1, 10**15))
    def test_written_ones_are_read_as_the_same(self, ms: int) -> None:
        assert parse_duration(format_duration(ms)) == ms
        assert parse_mixed(format_mixed(ms)) == parse_mixed(format_duration(ms)) == ms

    def test_of_several_units_are_read_and_written(self) -> None:
        """``22h45m``, as in the advice for ``?window=``."""
        assert format_mixed(81_900_000) == "22h45m"
        assert parse_mixed("22h45m") == 81_900_000
        assert parse_mixed("1d1h1m1s1ms") == 90_061_001
        for text in ("", "30m1h", "1h30", "1h1h", "1h 30m", "0h0m", "1h30m\n"):
            with pytest.raises(ValueError, match="ms, s, m, h or d"):
                parse_mixed(text)

    def test_are_written_in_the_largest_unit_that_fits_as_settings_have_them(self) -> None:
        assert [format_duration(ms) for ms in (86_400_000, 5_400_000, 1500, 0)] == [
            *("24h", "90m", "1500ms", "0ms"),
        ]


class TestSlicesThatCannotBe:
    @pytest.mark.parametrize(("size", "step"), [(60, 0), (60, -15), (0, 15), (-60, 15), (70, 15)])
    def test_are_refused(self, size: int, step: int) -> None:
        with pytest.raises(ValueError, match="step"):
            Slices(size, step)

    def test_are_refused_when_a_key_would_have_too_many_panes(self) -> None:
        assert Slices(MAX_PANES, 1).panes == MAX_PANES
        with pytest.raises(ValueError, match="65535"):
            Slices(MAX_PANES + 1, 1)


class TestTheHoppingWindow:
    """A window of an hour by 15 minutes, at 12:20.

    ::

        11:15   11:30   11:45   12:00   12:15   12:30
          |       |       |       |       | x     |
                  [-------------------------------)   the window at 12:20
          [-------------------------------)           the window at 12:14
    """

    slices = Slices(HOUR, 15 * MINUTE)

    def test_ends_with_the_step_that_the_time_lies_in(self) -> None:
        first, end = self.slices.window_at(NOON + 20 * MINUTE)
        assert first * self.slices.step == NOON - 30 * MINUTE
        assert end * self.slices.step == NOON + 30 * MINUTE

    def test_hops_when_a_step_begins_and_not_a_millisecond_before(self) -> None:
        before = self.slices.window_at(NOON - 1)
        after = self.slices.window_at(NOON)
        assert after == (before[0] + 1, before[1] + 1)
        assert self.slices.window_at(NOON + 15 * MINUTE - 1) == after

    def test_may_be_asked_for_in_any_multiple_of_the_step(self) -> None:
        whole = self.slices.window_at(NOON)
        assert self.slices.window_at(NOON, HOUR) == whole
        assert self.slices.window_at(NOON, 15 * MINUTE) == (whole[1] - 1, whole[1])

    @pytest.mark.parametrize("size", [0, -15 * MINUTE, 20 * MINUTE, 75 * MINUTE, 1])
    def test_may_not_be_asked_for_in_another_size(self, size: int) -> None:
        with pytest.raises(ValueError, match="multiple of 15m up to 1h"):
            self.slices.window_at(NOON, size)

    def test_keeps_no_pane_that_it_has_left(self) -> None:
        assert self.slices.kept_from(NOON) == self.slices.window_at(NOON)[0]

    @given(SLICES, TIMES, st.integers(0, 200_000_000))
    def test_sums_what_fausts_hopping_window_counts(
        self, slices: Slices, times: list[int], at: int
    ) -> None:
        counted: Counter[float] = Counter()
        theirs = HoppingWindow(slices.size / 1000, slices.step / 1000)
        for t in times:
            counted.update(start for start, _ in theirs.ranges(t / 1000))

        panes = Counter(slices.pane_of(t) for t in times)
        first, end = slices.window_at(at)
        assert sum(panes[pane] for pane in range(first, end)) == counted[first * slices.step / 1000]
        assert theirs.current(at / 1000)[0] in {start for start, _ in theirs.ranges(at / 1000)}
        assert theirs.ranges(at / 1000)[0][0] == first * slices.step / 1000


class TestTheTumblingWindow:
    """A window of two hours by 5 minutes, at 13:59 and at 14:00.

    ::

        12:00           14:00           16:00
          |             x|y              |
          [--------------)                    the window at 13:59
                         [---------------)    the window at 14:00
    """

    slices = Slices(2 * HOUR, 5 * MINUTE)

    def test_begins_at_a_multiple_of_its_size(self) -> None:
        first, end = self.slices.tumbling_at(NOON + 2 * HOUR - 1)
        assert (first * self.slices.step, end * self.slices.step) == (NOON, NOON + 2 * HOUR)

    def test_is_followed_by_the_next_without_a_gap(self) -> None:
        assert self.slices.tumbling_at(NOON + 2 * HOUR)[0] == self.slices.tumbling_at(NOON)[1]

    @given(SLICES, st.integers(0, 10**13))
    def test_lies_in_panes_that_are_kept(self, slices: Slices, at: int) -> None:
        assert slices.tumbling_at(at)[0] >= slices.kept_from(at)

    @given(SLICES, TIMES, st.integers(0, 200_000_000))
    def test_sums_what_fausts_tumbling_window_counts(
        self, slices: Slices, times: list[int], at: int
    ) -> None:
        theirs = TumblingWindow(slices.size / 1000)
        counted = Counter(start for t in times for start, _ in theirs.ranges(t / 1000))

        panes = Counter(slices.pane_of(t) for t in times)
        first, end = slices.tumbling_at(at)
        assert sum(panes[pane] for pane in range(first, end)) == counted[first * slices.step / 1000]


def test_the_last_time_whose_pane_can_be_stored_is_known() -> None:
    slices = Slices(HOUR, 15 * MINUTE)
    assert slices.pane_of(slices.end_ms - 1) == 2**32 - 1
    assert slices.pane_of(slices.end_ms) == 2**32
