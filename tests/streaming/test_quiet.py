"""The log shows the worker's actions, and only the meaningful messages of libraries."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from streaming.runtime.quiet import COORDINATOR_TIMEOUT_S, QuietFilter

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def is_written(clock: Clock) -> Callable[..., bool]:
    quiet = QuietFilter(clock)

    def ask(name: str, level: int, text: str, *args: object) -> bool:
        return quiet.filter(logging.LogRecord(name, level, __file__, 1, text, args, None))

    return ask


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("aiokafka.consumer.group_coordinator", "Discovered coordinator %s for group %s"),
        ("mode.worker", "[^Worker]: Gathering service tasks... "),
        ("faust.agents.manager", "[^--AgentManager]: Starting... "),
        ("tables.store", "[^-SlicedStore: memory:]: Stopping... "),
        ("streaming.runtime.recovery", "[^---BatchRecovery]: Restore complete! "),
    ],
)
def test_the_steps_of_libraries_are_left_out(
    is_written: Callable[..., bool], name: str, text: str
) -> None:
    """Also if they are logged through the logger of one of the program's services."""
    args = ("1", "a") if "%s" in text else ()
    assert not is_written(name, logging.INFO, text, *args)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("streaming.runtime.app", "[^-App]: created topic a"),
        ("mode.worker", "[^Worker]: Starting... "),
        ("mode.worker", "[^Worker]: Stopping... "),
    ],
)
def test_what_the_worker_does_is_written(
    is_written: Callable[..., bool], name: str, text: str
) -> None:
    assert is_written(name, logging.INFO, text)


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (
            logging.ERROR,
            "Group Coordinator Request failed: [Error 15] CoordinatorNotAvailableError",
        ),
        (logging.WARNING, "Marking the coordinator dead (node 1)for group reels."),
    ],
)
def test_a_coordinator_that_is_not_there_yet_is_left_out_and_one_that_stays_away_is_not(
    is_written: Callable[..., bool], clock: Clock, level: int, text: str
) -> None:
    """A new cluster creates its internal topics on the first request."""
    line = "aiokafka.consumer.group_coordinator", level, text
    assert not is_written(*line)
    clock.now += COORDINATOR_TIMEOUT_S + 1
    assert is_written(*line)


def test_a_heartbeat_that_tells_of_a_rebalance_is_left_out(is_written: Callable[..., bool]) -> None:
    """Each worker that joins or leaves causes one in all other workers."""
    logger = "aiokafka.consumer.group_coordinator"
    line = "Heartbeat failed for group %s because it is rebalancing"
    assert not is_written(logger, logging.WARNING, line, "reels")
    line = "Heartbeat failed: local member_id was not recognized;"
    assert is_written(logger, logging.WARNING, line)


def test_other_warnings_and_errors_of_libraries_are_written(
    is_written: Callable[..., bool],
) -> None:
    assert is_written("aiokafka.conn", logging.ERROR, "Unable connect to node 1")
    assert is_written("mode.services", logging.ERROR, "[^-App]: Crashed reason=%r", OSError())


def test_a_timer_that_comes_late_under_load_is_left_out(is_written: Callable[..., bool]) -> None:
    """A metric with an alert covers the effect on answers."""
    text = "Timer %s is overlapping (interval=%r runtime=%r)"
    assert not is_written("mode.timers", logging.INFO, text, "sweep", 1.0, 2.0)
    assert not is_written("mode.timers", logging.WARNING, text, "sweep", 1.0, 2.0)
