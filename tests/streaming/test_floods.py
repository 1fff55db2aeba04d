"""Repeated messages: a worker writes a few lines per second and the number of the omitted ones."""

from __future__ import annotations

import io
import logging
import threading

import pytest

from streaming.runtime.floods import INTERVAL_S, TOTAL_RATE, FloodFilter, limit_floods


class Clock:
    """A clock that the test sets, in seconds."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Log:
    """A handler with the filter, and the lines that it has written."""

    def __init__(self, clock: Clock) -> None:
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.addFilter(FloodFilter(self.handler, clock))

    def say(
        self, text: str, *args: object, level: int = logging.ERROR, name: str = "aiokafka.x"
    ) -> None:
        self.handler.handle(logging.LogRecord(name, level, __file__, 1, text, args, None))

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock) -> Log:
    return Log(clock)


def test_a_flood_of_one_message_is_a_few_lines_and_a_count(clock: Clock, log: Log) -> None:
    for second in range(30):
        for number in range(2000):
            log.say("Topic %s not found, attempt %s", "a", number)
        clock.now += 1
        assert len(log.lines) <= 5 + 2 * (second // INTERVAL_S + 1)
    counts = [line for line in log.lines if "more like this" in line]
    assert len(counts) >= 2
    assert "Topic a not found, attempt" in counts[0]
    log.say("the end", level=logging.CRITICAL)
    written = [line for line in log.lines if line.startswith("Topic a")]
    counts = [line for line in log.lines if "more like this" in line]
    left_out = sum(int(line.split()[0].replace(",", "")) for line in counts)
    assert len(written) + left_out == 60_000
    assert log.lines[-1] == "the end"


def test_a_flood_of_messages_that_all_differ_is_a_few_lines_a_second(
    clock: Clock, log: Log
) -> None:
    words = ["".join(chr(97 + (n // 26**i) % 26) for i in range(4)) for n in range(3000)]
    for word in words:
        log.say(f"nobody knows {word}")
    first = len(log.lines)
    assert first <= 150
    for _ in range(60):
        for word in words[:200]:
            log.say(f"nobody knows {word}")
        clock.now += 1
    assert len(log.lines) - first <= 60 * TOTAL_RATE + 5


def test_numbers_within_a_text_do_not_make_it_another_message(log: Log) -> None:
    for number in range(100):
        log.say(f"correlation id {number} of node {number * 7}")
    assert len(log.lines) == 5


def test_what_is_said_now_and_then_is_written_each_time(clock: Clock, log: Log) -> None:
    for _ in range(20):
        log.say("the broker is away")
        clock.now += INTERVAL_S
    assert log.lines == ["the broker is away"] * 20


def test_the_settings_at_the_start_are_all_written(log: Log) -> None:
    for number in range(50):
        log.say(
            "%s = %s", f"NAME_{number}", number, level=logging.INFO, name="streaming.runtime.app"
        )
    assert len(log.lines) == 50


def test_debug_lines_and_the_last_word_are_never_left_out(log: Log) -> None:
    for _ in range(1000):
        log.say("a detail", level=logging.DEBUG)
        log.say("why it ends", level=logging.CRITICAL)
    assert len(log.lines) == 2000


def test_a_count_is_written_though_the_message_has_ceased(clock: Clock, log: Log) -> None:
    for _ in range(100):
        log.say("gone")
    clock.now += INTERVAL_S
    log.say("something else", name="streaming.runtime.app")
    assert "95 more like this in 10 s: gone" in log.lines


def test_several_threads_that_flood_at_once_lose_no_line_of_the_count(
    clock: Clock, log: Log
) -> None:
    def flood() -> None:
        for _ in range(500):
            log.say("the same")

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.say("the end", level=logging.CRITICAL)
    assert "1,995 more like this in 0 s: the same" in log.lines


def test_each_handler_of_a_logger_is_limited_by_itself() -> None:
    logger = logging.getLogger("streaming.test_floods")
    logger.propagate = False
    streams = io.StringIO(), io.StringIO()
    for stream in streams:
        logger.addHandler(logging.StreamHandler(stream))
    limit_floods(logger)
    for _ in range(1000):
        logger.error("the same")
    assert [len(stream.getvalue().splitlines()) for stream in streams] == [60, 60]
