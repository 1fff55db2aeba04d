"""Progress is a bar on a terminal, and a line every few seconds elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from commands.progress import Gauge, ProgressDisplay


@dataclass
class Sent:
    sent_events: int = 0
    sent_bytes: int = 0


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def lines_of(
    capsys: pytest.CaptureFixture[str], seconds: int, total: int | None, duration_s: float | None
) -> list[str]:
    """Return what a run of 1,000 events/s and 0.3 MB/s prints within ``seconds``."""
    clock, sent = Clock(), Sent()
    with ProgressDisplay(total, duration_s, clock=clock) as progress:
        for _ in range(seconds * 10):
            clock.now_s += 0.1
            sent.sent_events += 100
            sent.sent_bytes += 30_000
            progress.update(sent)
    return capsys.readouterr().err.splitlines()


class TestLines:
    def test_there_is_one_every_five_seconds(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert len(lines_of(capsys, 21, None, None)) == 4

    def test_they_say_how_many_and_how_fast(self, capsys: pytest.CaptureFixture[str]) -> None:
        first = lines_of(capsys, 6, None, None)[0]
        assert re.fullmatch(r"5,[01]00 events, 1,000 events/s, 0\.3 MB/s", first)

    @pytest.mark.parametrize(("total", "duration_s"), [(20_000, None), (None, 20.0)])
    def test_they_say_how_long_it_takes_where_that_is_known(
        self, capsys: pytest.CaptureFixture[str], total: int | None, duration_s: float | None
    ) -> None:
        assert lines_of(capsys, 6, total, duration_s)[0].endswith(", 15 s left")

    def test_nothing_is_shown_when_quiet(self, capsys: pytest.CaptureFixture[str]) -> None:
        clock = Clock()
        with ProgressDisplay(None, None, quiet=True, clock=clock) as progress:
            clock.now_s += 60
            progress.update(Sent(1, 1))
        assert capsys.readouterr().err == ""


class TestBar:
    @pytest.mark.parametrize(("total", "duration_s"), [(200, None), (None, 20.0), (None, None)])
    def test_it_shows_the_last_figures_in_the_end(
        self,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        total: int | None,
        duration_s: float | None,
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "100")
        clock = Clock()
        with ProgressDisplay(total, duration_s, clock=clock) as progress:
            clock.now_s += 2
            progress.update(Sent(200, 60_000))
            clock.now_s += 0.01
            progress.update(Sent(217, 65_100), last=True)
        assert "217 events" in capsys.readouterr().err


class TestGauge:
    def test_the_rate_is_that_of_the_last_seconds(self) -> None:
        gauge = Gauge()
        for second in range(1, 6):
            gauge.rates(second, 100 * second, 1_000 * second)
        assert gauge.rates(6, 500, 5_000) == (50.0, 500.0)
        assert gauge.rates(7, 500, 5_000) == (0.0, 0.0)

    def test_nothing_is_fast_at_the_start(self) -> None:
        assert Gauge().rates(0.0, 10, 10) == (0.0, 0.0)
