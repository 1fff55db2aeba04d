"""Outages last from one answer to the next, whatever happens in between."""

from __future__ import annotations

import pytest

from benchmarks.rig.filling import an_id_of_each_partition
from benchmarks.rig.outages import Outage, Track
from models.partitioner import partition_of


def track_of(*answers: tuple[float, float, int]) -> Track:
    track = Track()
    for asked, answered, count in answers:
        track.answer(asked, answered, count)
    return track


def test_an_outage_is_the_longest_time_between_two_answers() -> None:
    # answers at   1      2        5   6
    track = track_of((0.9, 1.0, 3), (1.9, 2.0, 4), (4.9, 5.0, 5), (5.9, 6.0, 6))

    assert track.outage() == Outage(unanswered_s=3.0, uncounted_s=3.0)


def test_answers_that_count_nothing_more_are_no_outage_of_answers() -> None:
    # counted at   1                                 4
    track = track_of((0.9, 1.0, 3), (1.9, 2.0, 3), (2.9, 3.0, 3), (3.9, 4.0, 4))

    assert track.outage() == Outage(unanswered_s=1.0, uncounted_s=3.0)


def test_what_a_crash_took_back_counts_when_more_than_before_is_counted() -> None:
    # counts        7               8               6 7 8           9
    track = track_of(
        *((0.9, 1.0, 7), (1.9, 2.0, 8), (2.9, 3.0, 6)),
        *((3.9, 4.0, 7), (4.9, 5.0, 8), (5.9, 6.0, 9)),
    )

    assert track.outage() == Outage(unanswered_s=1.0, uncounted_s=4.0)


def test_outages_before_the_begin_are_forgotten_and_one_that_goes_on_is_not() -> None:
    track = track_of((0.9, 1.0, 1), (8.9, 9.0, 2))
    track.begin()
    assert track.outage() == Outage(0.0, 0.0)

    track.answer(10.9, 11.0, 3)

    assert track.outage() == Outage(2.0, 2.0)


def test_a_partition_is_up_when_a_question_asked_since_is_answered_and_counts() -> None:
    track = track_of((0.9, 1.0, 1), (1.9, 2.0, 2))
    assert track.is_up_since(1.8)

    # Asked before, answered after.
    assert not track.is_up_since(1.95)
    track.answer(2.9, 3.0, 2)
    assert not track.is_up_since(1.95)
    track.answer(3.9, 4.0, 3)
    assert track.is_up_since(1.95)


@pytest.mark.parametrize("first", [1, 801, 123_457])
def test_each_partition_has_a_user_from_the_first_on(first: int) -> None:
    users = an_id_of_each_partition(8, first).tolist()

    assert [partition_of(user, 8) for user in users] == list(range(8))
    assert all(first <= user < first + 800 for user in users)
