"""A producer with another partitioner is noticed: the worker logs it, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.misplaced import MIN_EVENTS, MisplacedShare

if TYPE_CHECKING:
    import pytest


def test_a_high_share_of_events_that_are_passed_on_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    share = MisplacedShare()
    share.note(MIN_EVENTS - 1, MIN_EVENTS - 1)
    assert caplog.messages == []
    for _ in range(5):
        share.note(MIN_EVENTS, MIN_EVENTS)
    (line,) = caplog.messages
    assert line.startswith(f"100 % of {2 * MIN_EVENTS - 1:,} events")
    assert '"partitioner": "murmur2_random"' in line


def test_a_few_of_them_are_not_worth_a_line_and_many_later_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    share = MisplacedShare()
    for _ in range(50):
        share.note(MIN_EVENTS, MIN_EVENTS // 10)
    assert caplog.messages == []
    share.note(MIN_EVENTS, MIN_EVENTS // 2)
    assert len(caplog.messages) == 1
