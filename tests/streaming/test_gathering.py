"""Fetches wait for more when a lot comes in, and for nothing when little does."""

from __future__ import annotations

import pytest

from streaming.gathering import AT_ONCE, BUSY_RATE, GATHERED, Gathering


def fetch(gathering, rate, begin, seconds):
    """Let records come in, fifty fetches a second."""
    for n in range(round(seconds * 50)):
        gathering.fetched(rate // 50, begin + (n + 1) / 50)


@pytest.mark.parametrize(
    ("rate", "wait"),
    [(0, AT_ONCE), (100, AT_ONCE), (19_000, AT_ONCE), (21_000, GATHERED), (200_000, GATHERED)],
)
def test_goes_by_the_rate(rate, wait):
    gathering = Gathering(0.0)
    fetch(gathering, rate, 0.0, 2.0)
    assert gathering.wait == wait


def test_a_burst_after_silence_does_not_count_as_a_rate():
    gathering = Gathering(0.0)
    gathering.fetched(0, 0.5)
    gathering.fetched(BUSY_RATE, 10.0)
    assert gathering.wait == AT_ONCE


def test_when_it_ends_fetches_are_answered_at_once_again():
    gathering = Gathering(0.0)
    fetch(gathering, 50_000, 0.0, 3.0)
    assert gathering.wait == GATHERED
    gathering.fetched(0, 3.5)
    gathering.fetched(0, 4.1)
    assert gathering.wait == AT_ONCE
