"""``faust -A app generate``: options, pace, a clean end, and errors in one line."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import faust
import orjson
import pytest
from click.testing import CliRunner, Result
from faust.cli.base import cli

from commands import generate
from commands.generate import SendPace
from commands.sending import SendError
from models.timestamps import from_iso, to_iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen import EventChunk


class RecordingSender:
    """A sender without Kafka: keeps every chunk, and fails or is interrupted on demand."""

    last: RecordingSender
    signal_at_chunk: tuple[int, signal.Signals] | None = None
    failure: str | None = None

    def __init__(self, _settings: object) -> None:
        type(self).last = self
        self.chunks: list[EventChunk] = []
        self.sent_events = self.sent_bytes = self.refused_events = 0
        self.is_flushed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send(self, chunk: EventChunk) -> None:
        self.chunks.append(chunk)
        if self.failure:
            raise SendError(self.failure)
        self.sent_events += len(chunk)
        self.sent_bytes += sum(map(len, chunk.values))
        if self.signal_at_chunk and len(self.chunks) == self.signal_at_chunk[0]:
            os.kill(os.getpid(), self.signal_at_chunk[1])

    async def submit(self) -> None:
        pass

    async def flush(self) -> None:
        self.is_flushed = True

    @property
    def values(self) -> list[bytes]:
        return [value for chunk in self.chunks for value in chunk.values]


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> type[RecordingSender]:
    """A fresh class whose attributes a test may change."""

    class Sender(RecordingSender):
        pass

    monkeypatch.setattr(generate, "EventSender", Sender)
    return Sender


@pytest.fixture(scope="module")
def app() -> faust.App:
    return faust.App("generate-tests")


@pytest.fixture
def run(app: faust.App, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    # Faust reads -A and -W from the arguments of the process.
    monkeypatch.setattr(sys, "argv", ["faust"])

    def invoke(*args: str, options: tuple[str, ...] = ()) -> Result:
        extra: dict[str, Any] = {"app": app}
        return CliRunner().invoke(cli, [*options, "generate", *args], **extra)

    return invoke


class TestOptions:
    def test_the_help_lists_the_options_of_the_contract(self, run: Callable[..., Result]) -> None:
        text = run("--help").output
        for name in (
            *("rate", "count", "duration", "users", "videos", "seed", "invalid"),
            *("duplicates", "late", "start", "speed", "viral"),
        ):
            assert f"--{name} " in text

    @pytest.mark.parametrize(
        ("args", "named"),
        [
            (("--rate", "-1"), "--rate"),
            (("--rate", "fast"), "--rate"),
            (("--count", "0"), "--count"),
            (("--duration", "0"), "--duration"),
            (("--invalid", "1.5"), "--invalid"),
            (("--invalid", "0.5", "--late", "0.5"), "late"),
            (("--videos", "3", "--viral", "3"), "viral"),
            (("--start", "yesterday"), "--start"),
            (("--start", "2025-01-15T14:30:45"), "--start"),
            (("--start", "2999-01-01T00:00:00Z"), "future"),
            (("--speed", "0"), "--speed"),
        ],
    )
    def test_wrong_options_are_refused_before_anything_is_sent(
        self,
        run: Callable[..., Result],
        sender: type[RecordingSender],
        args: tuple[str, ...],
        named: str,
    ) -> None:
        result = run(*args)
        assert result.exit_code == 2
        assert named in result.stderr.splitlines()[-1]
        assert not hasattr(sender, "last") or sender.last.chunks == []


class TestEvents:
    START = "2025-01-15T14:30:45.123Z"

    def test_as_many_as_asked_for_are_sent(
        self, run: Callable[..., Result], sender: type[RecordingSender]
    ) -> None:
        result = run("--rate", "0", "--count", "10000")
        assert result.exit_code == 0, result.output
        assert len(sender.last.values) == 10_000
        assert sender.last.is_flushed

    def test_the_same_seed_gives_the_same_bytes_however_fast_they_are_sent(
        self, run: Callable[..., Result], sender: type[RecordingSender]
    ) -> None:
        """With --rate 0, event time advances as with 50,000 events/s."""
        options = ("--count", "6000", "--seed", "3", "--start", self.START, "--invalid", "0.1")
        runs = []
        for rate in ("0", "50000"):
            assert run("--rate", rate, *options).exit_code == 0
            runs.append(sender.last.values)
        assert runs[0] == runs[1]

    def test_another_seed_gives_other_events(
        self, run: Callable[..., Result], sender: type[RecordingSender]
    ) -> None:
        options = ("--count", "10", "--rate", "0", "--start", self.START)
        run("--seed", "1", *options)
        one = sender.last.values
        run("--seed", "2", *options)
        assert one != sender.last.values

    def test_event_time_begins_at_the_start_and_passes_at_its_speed(
        self, run: Callable[..., Result], sender: type[RecordingSender]
    ) -> None:
        """2,000 events at 1,000 events/s take 2 s, which is 3600 times as long at this speed."""
        run(
            *("--start", self.START, "--count", "2000", "--rate", "1000", "--speed", "3600"),
        )
        times = [from_iso(orjson.loads(value)["timestamp"]) for value in sender.last.values]
        assert 0 <= from_iso(self.START) - times[0] <= 5_000
        assert times[-1] - times[0] == pytest.approx(2 * 3_600_000, abs=10_000)

    def test_no_event_is_more_than_a_minute_ahead_of_the_clock(
        self, run: Callable[..., Result], sender: type[RecordingSender]
    ) -> None:
        start = to_iso(int(time.time() * 1000) - 1_000)
        run("--start", start, "--count", "3000", "--rate", "0", "--speed", "1e6")
        latest = max(from_iso(orjson.loads(value)["timestamp"]) for value in sender.last.values)
        assert time.time() * 1000 < latest <= (time.time() + 60) * 1000

    def test_the_first_event_is_of_now_by_default(
        self, run: Callable[..., Result], sender: type[RecordingSender]
    ) -> None:
        before_ms = time.time() * 1000
        run("--count", "1")
        first = from_iso(orjson.loads(sender.last.values[0])["timestamp"])
        assert before_ms - 5_001 <= first <= time.time() * 1000


class TestEnd:
    def test_a_run_ends_after_its_duration(
        self, run: Callable[..., Result], sender: type[RecordingSender]
    ) -> None:
        started = time.monotonic()
        result = run("--rate", "2000", "--duration", "0.5")
        assert time.monotonic() - started >= 0.4
        assert len(sender.last.values) == 1_000
        assert result.exit_code == 0

    def test_a_run_as_fast_as_it_goes_does_too(
        self, run: Callable[..., Result], sender: type[RecordingSender]
    ) -> None:
        assert run("--rate", "0", "--duration", "0.2").exit_code == 0
        assert sender.last.is_flushed

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("rate", ["0", "100"])
    def test_a_signal_ends_it_with_a_flush_and_a_summary(
        self,
        run: Callable[..., Result],
        sender: type[RecordingSender],
        number: signal.Signals,
        rate: str,
    ) -> None:
        sender.signal_at_chunk = (3, number)
        result = run("--rate", rate)
        assert result.exit_code == 0
        assert 3 <= len(sender.last.chunks) <= 6
        assert sender.last.is_flushed
        assert result.stdout.startswith(f"sent {len(sender.last.values):,} events in ")

    def test_the_summary_counts_what_was_sent_by_kind(
        self, run: Callable[..., Result], sender: type[RecordingSender]
    ) -> None:
        options = ("--invalid", "0.2", "--duplicates", "0.1", "--late", "0.1")
        result = run("--rate", "0", "--count", "10000", *options)
        counts = dict(re.findall(r"^  (\w+) +([\d,]+)$", result.stdout, re.MULTILINE))
        assert sum(int(count.replace(",", "")) for count in counts.values()) == 10_000
        assert {"video_view", "like", "duplicate", "late", "malformed_json"} <= counts.keys()

    def test_the_videos_that_turn_viral_are_named(
        self, run: Callable[..., Result], sender: type[RecordingSender]
    ) -> None:
        result = run("--rate", "0", "--count", "10", "--viral", "3")
        assert re.search(r"^videos that turn viral: \d+, \d+, \d+$", result.stderr, re.MULTILINE)

    @pytest.mark.parametrize(("count", "is_warned"), [("10", True), ("15000", False)])
    def test_a_campaign_that_cannot_do_it_is_warned_of(
        self, run: Callable[..., Result], sender: type[RecordingSender], count: str, is_warned: bool
    ) -> None:
        result = run("--rate", "0", "--count", count, "--viral", "3")
        assert ("warning: a video needs 3,400 events" in result.stderr) == is_warned

    def test_nothing_is_said_when_quiet(
        self, run: Callable[..., Result], sender: type[RecordingSender]
    ) -> None:
        result = run("--rate", "0", "--count", "10", options=("--quiet",))
        assert (result.exit_code, result.output) == (0, "")


class TestTrouble:
    def test_no_broker_is_one_line_and_exit_code_1(
        self, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BROKER_URL", "kafka://127.0.0.1:1")
        result = run("--count", "1")
        assert result.exit_code == 1
        said = "no broker answers at 127.0.0.1:1 (Connection refused): check BROKER_URL"
        assert result.stderr.splitlines() == [f"error: {said}"]

    def test_a_wrong_setting_is_one_line_and_exit_code_1(
        self, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOPIC_PARTITIONS", "many")
        result = run("--count", "1")
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: TOPIC_PARTITIONS = 'many' is wrong")

    def test_a_broker_lost_on_the_way_leaves_a_summary_of_what_arrived(
        self, run: Callable[..., Result], sender: type[RecordingSender]
    ) -> None:
        sender.failure = "Kafka accepts no more events"
        result = run("--rate", "0", "--count", "100")
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1] == "error: Kafka accepts no more events"
        assert result.stdout.startswith("sent 0 events in ")


class TestPace:
    def test_events_are_due_evenly(self) -> None:
        pace = SendPace(rate=100.0, count=None, duration_s=None)
        assert pace.due(0.0, 0) == 1
        assert pace.due(0.5, 1) == 50
        assert pace.due(0.5, 51) == 0

    def test_what_was_missed_is_made_up_for(self) -> None:
        assert SendPace(100.0, None, None).due(10.0, 500) == 501

    def test_the_last_events_are_not_exceeded(self) -> None:
        assert SendPace(0.0, 100, None).due(1.0, 93) == 7
        assert SendPace(100.0, 5, None).due(10.0, 0) == 5
        assert SendPace(100.0, 500, 2.0).total == 200
        assert SendPace(0.0, None, 2.0).total is None

    def test_a_run_is_over_by_number_or_by_time(self) -> None:
        assert SendPace(0.0, 10, None).is_over(0.0, 10)
        assert not SendPace(0.0, 10, None).is_over(1e9, 9)
        assert SendPace(0.0, None, 2.0).is_over(2.0, 0)
        assert not SendPace(10.0, None, 2.0).is_over(2.0, 19)

    def test_a_rate_that_cannot_be_met_does_not_prolong_the_run(self) -> None:
        assert SendPace(1e9, None, 2.0).is_over(3.0, 19)

    def test_a_slow_run_sleeps_but_wakes_up_for_signals(self) -> None:
        assert SendPace(0.01, None, None).pause_s(0.0, 1) == 0.5
        assert 0 < SendPace(1000.0, None, None).pause_s(1.0, 1001) < 0.1
