"""When a task commits."""

from __future__ import annotations

from itertools import pairwise

import pytest

from streaming.pacing import LONGEST_COMMIT_INTERVAL, first_pause, pause_after


class TestFirstPause:
    def test_tasks_that_begin_together_do_not_commit_together(self):
        pauses = sorted(first_pause(partition, 0.1) for partition in range(8))
        assert all(0.0 <= pause < 0.1 for pause in pauses)
        assert min(b - a for a, b in pairwise(pauses)) > 0.004


class TestPauses:
    @pytest.mark.parametrize(
        ("commit_s", "one_before_s", "pause_s"),
        [
            (0.0, 0.0, 0.1),
            (0.03, 0.03, 0.1),
            (0.03, 0.14, 0.1),
            (0.4, 0.4, 0.6),
            (0.4, 0.5, 0.6),
            (5.0, 5.0, LONGEST_COMMIT_INTERVAL),
        ],
    )
    def test_are_the_interval_until_commits_take_long(self, commit_s, one_before_s, pause_s):
        assert pause_after(commit_s, one_before_s, 0.1) == pytest.approx(pause_s)

    def test_a_single_slow_commit_is_followed_by_a_short_one(self):
        assert pause_after(0.08, 0.02, 0.1) == pytest.approx(0.04)
        assert pause_after(0.14, 0.04, 0.1) == pytest.approx(0.06)
