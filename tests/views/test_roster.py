"""Which workers left and which were lost, tested without any worker."""

from __future__ import annotations

import pytest

from views.roster import LEAVE_TIMEOUT_S, REMEMBERED_S, Roster

A, B = ("http://a", "1"), ("http://b", "2")


def gone(roster: Roster) -> dict[str, str]:
    return {each.url: each.how for each in roster.departed}


@pytest.fixture
def roster() -> Roster:
    roster = Roster()
    roster.update([A, B], 100.0)
    return roster


def test_one_that_goes_without_a_word_is_lost_from_then_on(roster: Roster) -> None:
    assert (roster.members, roster.size) == (["http://a", "http://b"], 2)
    roster.update([A], 101.0)
    roster.update([A], 102.0)
    (lost,) = roster.departed
    assert (lost.url, lost.how, lost.since) == ("http://b", "lost", 101.0)


def test_one_that_says_farewell_has_left_whichever_comes_first(roster: Roster) -> None:
    roster.farewell("2", 100.5)
    roster.update([A], 101.0)
    assert gone(roster) == {"http://b": "left"}
    other = Roster()
    other.update([A, B], 100.0)
    other.update([A], 101.0)
    other.farewell("2", 101.5)
    assert gone(other) == {"http://b": "left"}


def test_a_farewell_of_long_ago_is_none(roster: Roster) -> None:
    roster.farewell("2", 100.0)
    roster.update([A], 101.0 + LEAVE_TIMEOUT_S)
    assert gone(roster) == {"http://b": "lost"}


@pytest.mark.parametrize("back", [B, ("http://b", "3"), ("http://elsewhere", "2")])
def test_one_that_comes_back_by_its_address_or_its_id_is_not_gone(
    roster: Roster, back: tuple[str, str]
) -> None:
    roster.update([A], 101.0)
    roster.update([A, back], 102.0)
    assert gone(roster) == {}


def test_one_that_is_gone_for_long_is_forgotten(roster: Roster) -> None:
    roster.update([A], 101.0)
    roster.update([A], 101.0 + REMEMBERED_S)
    assert gone(roster) == {"http://b": "lost"}
    roster.update([A], 102.0 + REMEMBERED_S)
    assert gone(roster) == {}


def test_before_the_first_assignment_nobody_is_gone(roster: Roster) -> None:
    roster.update([], 101.0)
    assert gone(roster) == {}
    assert roster.size == 2
