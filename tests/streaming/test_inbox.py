"""The inbox: a task's fetched records that are not processed yet."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from faust.types import TP

from streaming.tasks.inbox import MAX_PASSED_OVER, Inbox
from streaming.tasks.shared_limits import WAITING_BYTES, SharedLimits
from tests.streaming.bench import DELTAS, EVENTS
from tests.streaming.fakes import batch

PASSED_ON = TP("passed-on", 0)


@pytest.fixture
def shared_limits() -> SharedLimits:
    return SharedLimits([...])


@pytest.fixture
def inbox(shared_limits: SharedLimits) -> Inbox:
    return Inbox([DELTAS, EVENTS], shared_limits)


async def test_the_topic_named_first_goes_first_and_each_in_its_order(inbox: Inbox) -> None:
    events, deltas = [batch(0, 3), batch(3, 5)], [batch(0, 2), batch(2, 9)]
    for tp, batches in ((EVENTS, events), (DELTAS, deltas)):
        for each in batches:
            inbox.put(tp, each)
    taken = [await inbox.next() for _ in range(4)]
    assert taken == [*((DELTAS, each) for each in deltas), *((EVENTS, each) for each in events)]
    assert not inbox


async def test_whoever_asks_waits_for_what_comes(inbox: Inbox) -> None:
    asked = asyncio.create_task(inbox.next())
    await asyncio.sleep(0.01)
    assert not asked.done()
    inbox.put(EVENTS, batch(0, 3))
    assert await asked == (EVENTS, batch(0, 3))


async def test_what_waits_is_counted_with_that_of_others(
    inbox: Inbox, shared_limits: SharedLimits
) -> None:
    shared_limits.waiting = 5
    inbox.put(EVENTS, batch(0, 3))
    inbox.put(DELTAS, batch(0, 3))
    assert shared_limits.waiting == 7
    await inbox.next()
    assert shared_limits.waiting == 6
    inbox.clear()
    assert (shared_limits.waiting, bool(inbox)) == (5, False)


def test_what_waits_in_kafka_is_known_as_of_the_last_fetch(inbox: Inbox) -> None:
    assert inbox.behind({EVENTS: 7, DELTAS: 0}) == 0
    inbox.put(EVENTS, batch(7, 9)._replace(high_watermark=20))
    inbox.put(DELTAS, batch(0, 1)._replace(high_watermark=2))
    assert inbox.behind({EVENTS: 9, DELTAS: 1}) == 12
    assert inbox.behind({EVENTS: 25, DELTAS: 0}) == 2
    inbox.clear()
    assert inbox.behind({EVENTS: 9, DELTAS: 1}) == 0


async def test_a_topic_that_goes_first_does_not_starve_the_others(
    shared_limits: SharedLimits,
) -> None:
    """Passed-on events go before the input, but must not stop the input that they come from."""
    inbox = Inbox([DELTAS, PASSED_ON, EVENTS], shared_limits)
    for tp in (DELTAS, PASSED_ON, EVENTS):
        for at in range(50):
            inbox.put(tp, batch(at, at + 1))
    taken = Counter([(await inbox.next())[0] for _ in range(50)])
    assert taken[DELTAS] > taken[PASSED_ON] >= taken[EVENTS] >= 50 // (MAX_PASSED_OVER + 3)
    assert taken.total() == 50


async def test_what_batches_take_counts_until_they_are_processed_or_dropped(
    inbox: Inbox, shared_limits: SharedLimits
) -> None:
    for number in range(3):
        inbox.put(EVENTS, batch(number, number + 1)._replace(size=10))
    await inbox.next()
    assert shared_limits.waiting_bytes == 30
    await inbox.next()
    assert shared_limits.waiting_bytes == 20
    inbox.clear()
    assert shared_limits.waiting_bytes == 10
    inbox.close()
    assert shared_limits.waiting_bytes == 0


async def test_nothing_is_fetched_while_what_waits_takes_too_much(
    inbox: Inbox, shared_limits: SharedLimits
) -> None:
    inbox.put(EVENTS, batch(0, 1)._replace(size=WAITING_BYTES))
    room = asyncio.create_task(shared_limits.wait_for_room())
    await inbox.next()
    await asyncio.sleep(0.01)
    assert not room.done()
    inbox.close()
    await room
