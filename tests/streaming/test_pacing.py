"""When a worker commits."""

from __future__ import annotations

from math import inf

import pytest

from streaming.commit.pacing import (
    CALM_S,
    FIRST_RETRY_S,
    MAX_COMMIT_INTERVAL_S,
    MAX_QUIET_S,
    MAX_RETRY_S,
    CommitPace,
    Retries,
    pause_after,
)


class TestPauses:
    @pytest.mark.parametrize(
        ("commit_s", "usual_s", "pause_s"),
        [
            (0.0, 0.0, 0.1 / 3),
            (0.01, 0.01, 0.07 / 3),
            (0.03, 0.03, 0.03),
            (0.05, 0.05, 0.05),
            (0.06, 0.06, 0.04),
            (0.14, 0.03, 0.015),
            (0.08, 0.08, 0.04),
            (0.4, 0.4, 0.2),
            (0.5, 0.4, 0.2),
            (5.0, 5.0, MAX_COMMIT_INTERVAL_S),
        ],
    )
    def test_leave_a_third_of_the_interval_between_beginnings_or_more_when_commits_take_long(
        self, commit_s: float, usual_s: float, pause_s: float
    ) -> None:
        assert pause_after(commit_s, usual_s, 0.1, 0.0) == pytest.approx(pause_s)

    def test_keep_to_a_long_interval(self) -> None:
        """A long interval is a wish for few commits."""
        assert pause_after(0.01, 0.01, 1.0, 0.0) == pytest.approx(0.92)

    @pytest.mark.parametrize(
        ("behind_s", "pause_s"),
        [(0.9, 0.03), (1.1, MAX_COMMIT_INTERVAL_S), (inf, MAX_COMMIT_INTERVAL_S)],
    )
    def test_are_as_long_as_can_be_far_behind(self, behind_s: float, pause_s: float) -> None:
        assert pause_after(0.03, 0.03, 0.1, behind_s) == pytest.approx(pause_s)

    def test_are_longer_yet_where_the_interval_is(self) -> None:
        assert pause_after(0.03, 0.03, 5.0, inf) == pytest.approx(4.97)


class TestPace:
    @pytest.fixture
    def pace(self) -> CommitPace:
        """Return a pace at 1,000 records per second and commits of 30 ms."""
        pace = CommitPace(0.1)
        pace.committed(0.03, 130, 0.13, 0)
        pace.committed(0.03, 130, 0.13, 0)
        return pace

    @pytest.mark.parametrize(
        ("commit_s", "one_before_s", "pause_s"),
        [
            (0.0, 0.0, 0.1 / 3),
            (0.03, 0.03, 0.03),
            (0.03, 0.14, 0.03),
            (0.4, 0.4, 0.2),
            (0.4, 0.5, 0.2),
            (5.0, 5.0, MAX_COMMIT_INTERVAL_S),
            (0.08, 0.02, 0.01),
            (0.14, 0.04, 0.02),
        ],
    )
    def test_commits_take_as_long_as_the_shorter_of_the_last_two(
        self, commit_s: float, one_before_s: float, pause_s: float
    ) -> None:
        pace = CommitPace(0.1)
        for each in (one_before_s, commit_s):
            pace.committed(each, 130, 0.13, 0)
        assert pace.pause_s == pytest.approx(pause_s)

    def test_what_waits_in_kafka_counts_by_the_time_that_processing_it_takes(
        self, pace: CommitPace
    ) -> None:
        pace.committed(0.03, 130, 0.13, 900)
        assert pace.pause_s == pytest.approx(0.03)
        pace.committed(0.03, 130, 0.13, 1100)
        assert pace.pause_s == MAX_COMMIT_INTERVAL_S
        pace.committed(0.03, 130, 0.13, 0)
        assert pace.pause_s == pytest.approx(0.03)

    @pytest.mark.parametrize(
        ("commit_s", "interval_s"),
        [(0.01, 0.1), (0.025, 0.1), (0.05, 0.2), (0.1, 0.4), (0.2, MAX_QUIET_S)],
    )
    def test_commits_that_nobody_waits_for_take_a_quarter_of_the_time(
        self, pace: CommitPace, commit_s: float, interval_s: float
    ) -> None:
        for _ in range(2):
            pace.committed(commit_s, 130, 0.13, 0)
        assert pace.interval_s == pytest.approx(interval_s)
        assert pace.exchange_s == pytest.approx(0.025)

    def test_a_long_interval_is_kept_to_however_long_commits_take(self) -> None:
        pace = CommitPace(5.0)
        for _ in range(2):
            pace.committed(2.0, 130, 5.0, 0)
        assert pace.interval_s == 5.0

    def test_exchanges_are_more_frequent_than_commits_unless_there_is_a_backlog(
        self, pace: CommitPace
    ) -> None:
        assert pace.exchange_s == pytest.approx(0.025)
        pace.committed(0.03, 130, 0.13, 1100)
        assert pace.exchange_s == MAX_COMMIT_INTERVAL_S
        pace.committed(0.03, 130, 0.13, 0)
        assert pace.exchange_s == pytest.approx(0.025)

    def test_a_single_slow_commit_is_followed_by_a_short_pause(self, pace: CommitPace) -> None:
        pace.committed(0.09, 130, 0.13, 0)
        assert pace.pause_s == pytest.approx(0.015)
        pace.committed(0.09, 130, 0.13, 0)
        assert pace.pause_s == pytest.approx(0.045)

    def test_a_single_moment_in_which_little_was_processed_is_no_backlog(
        self, pace: CommitPace
    ) -> None:
        pace.committed(0.03, 10, 0.13, 300)
        assert pace.pause_s == pytest.approx(0.03)
        pace.committed(0.03, 10, 0.13, 300)
        assert pace.pause_s == MAX_COMMIT_INTERVAL_S

    def test_who_has_processed_nothing_yet_does_not_know_how_far_behind_it_is(self) -> None:
        pace = CommitPace(0.1)
        pace.committed(0.0, 0, 0.1, 1)
        assert pace.pause_s == pytest.approx(0.1 / 3)


class TestRetries:
    def test_pauses_double_from_failure_to_failure_up_to_the_longest(self) -> None:
        retries = Retries()
        pauses = [retries.next_pause(now) for now in (1000.0, 1001.0, 1002.0, 1010.0)]
        assert pauses == [FIRST_RETRY_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S, 8 * FIRST_RETRY_S]
        assert [retries.next_pause(1020.0 + n) for n in range(3)][-1] == MAX_RETRY_S

    def test_after_a_calm_time_they_begin_anew(self) -> None:
        retries = Retries()
        for now in (1000.0, 1001.0):
            retries.next_pause(now)
        assert retries.next_pause(1002.0 + CALM_S) == FIRST_RETRY_S
