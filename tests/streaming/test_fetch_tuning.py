"""Fetches wait for more records at high rates, and not at all at low ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.fetch.fetch_tuning import (
    BUSY_RECORDS_PER_S,
    GATHERED_BYTES,
    MIN_WAIT_MS,
    NO_WAIT,
    PERIOD_S,
    SPAN_S,
    FetchTuner,
    FetchWait,
)

PERIOD_MS = round(1000 * PERIOD_S)


def fetch(gathering: FetchTuner, rate: int, begin: float, seconds: float) -> None:
    """Report fifty fetches per second at ``rate`` records per second."""
    for n in range(round(seconds * 50)):
        gathering.fetched(rate // 50, begin + (n + 1) / 50)


@pytest.fixture
def busy() -> tuple[FetchTuner, float]:
    """Return a busy tuner whose answers came when due, and the time of the last answer."""
    gathering, now = FetchTuner(0.0), 0.0
    while now < 2 * SPAN_S:
        now += gathering.wait.ms / 1000
        gathering.fetched(BUSY_RECORDS_PER_S, now)
    return gathering, now


@pytest.mark.parametrize(
    ("rate", "is_busy"),
    [(0, False), (100, False), (19_000, False), (21_000, True), (200_000, True)],
)
def test_goes_by_the_rate(rate: int, is_busy: bool) -> None:
    gathering = FetchTuner(0.0)
    fetch(gathering, rate, 0.0, 2.0)
    if is_busy:
        assert gathering.wait.min_bytes == GATHERED_BYTES
    else:
        assert gathering.wait == NO_WAIT


def test_a_burst_after_silence_does_not_count_as_a_rate() -> None:
    gathering = FetchTuner(0.0)
    gathering.fetched(0, 0.5)
    gathering.fetched(BUSY_RECORDS_PER_S, 10.0)
    assert gathering.wait == NO_WAIT


def test_when_it_ends_fetches_are_answered_at_once_again() -> None:
    gathering = FetchTuner(0.0)
    fetch(gathering, 50_000, 0.0, 3.0)
    assert gathering.wait.min_bytes == GATHERED_BYTES
    gathering.fetched(0, 3.5)
    gathering.fetched(0, 4.1)
    assert gathering.wait == NO_WAIT


def test_an_answer_in_time_leaves_the_next_a_whole_period(busy: tuple[FetchTuner, float]) -> None:
    gathering, _ = busy
    assert gathering.wait == FetchWait(PERIOD_MS, GATHERED_BYTES)


def test_what_an_answer_took_on_its_way_the_next_does_not_wait_for(
    busy: tuple[FetchTuner, float],
) -> None:
    gathering, due = busy
    for late in (0.006, 0.004, 0.0):
        due += PERIOD_S
        gathering.fetched(BUSY_RECORDS_PER_S, due + late)
        assert gathering.wait.ms == PERIOD_MS - round(1000 * late)


def test_an_answer_that_came_very_late_is_followed_by_one_soon_and_that_by_a_usual_one(
    busy: tuple[FetchTuner, float],
) -> None:
    gathering, now = busy
    gathering.fetched(BUSY_RECORDS_PER_S, now + 1.0)
    assert gathering.wait.ms == MIN_WAIT_MS
    gathering.fetched(BUSY_RECORDS_PER_S, now + 1.0 + MIN_WAIT_MS / 1000)
    assert gathering.wait.ms == PERIOD_MS - MIN_WAIT_MS


def test_answers_that_came_early_far_behind_do_not_put_the_next_off(
    busy: tuple[FetchTuner, float],
) -> None:
    gathering, now = busy
    for n in range(100):
        gathering.fetched(BUSY_RECORDS_PER_S, now + n * 0.003)
    assert gathering.wait.ms == PERIOD_MS


@given(st.lists(st.floats(0.0, 0.2), min_size=100, max_size=200))
def test_no_fetch_waits_longer_than_a_period_whenever_answers_come(distances: list[float]) -> None:
    gathering, now = FetchTuner(0.0), SPAN_S
    gathering.fetched(100 * BUSY_RECORDS_PER_S, now)
    for distance in distances:
        now += distance
        gathering.fetched(BUSY_RECORDS_PER_S, now)
        assert MIN_WAIT_MS <= gathering.wait.ms <= PERIOD_MS
