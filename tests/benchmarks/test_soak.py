"""The soak runs in a small size and judges its figures; their values are not tested."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.processes import Usage
from benchmarks.soak.__main__ import main
from benchmarks.soak.fleet import Fleet
from benchmarks.soak.plan import COOL_DOWN_S, Plan
from benchmarks.soak.samples import MIB, Sample, figures
from benchmarks.soak.verdict import failures, judge
from commands.shapes import Audit, Compared
from tests.worker import ROOT, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rig.cluster import Rig
    from embedded import EmbeddedKafka


SMALL = ("--seconds", "24", "--rate", "1000", "--users", "10000")

DAY_MS, QUARTER_MS = 86_400_000, 900_000


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_small_soak_restarts_and_kills_a_worker_and_finds_no_difference(
    broker: EmbeddedKafka, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "soak.json"

    with pytest.raises(SystemExit) as ended:
        main([*SMALL, "--output", str(output), "--markdown", "--bootstrap", broker.bootstrap])

    document = json.loads(output.read_text())
    assert document["audit"]["clean"]
    assert document["audit"]["users"]["compared"] > 1000
    # All events of the load, the probes, and a marker per partition at both ends.
    outcomes = document["audit"]["outcomes"]
    assert sum(outcomes.values()) == document["audit"]["records"] > 24_000
    assert min(outcomes[each] for each in ("applied", "duplicate", "rejected")) > 0
    parts = [row["figures"] for row in document["tables"]["By parts of the run"]]
    assert len(parts) == len(document["minutes"]) == 6
    whole = set().union(*parts)
    assert {"user ms p99", "workers us/event", "changelog bytes/event", "tables MiB"} < whole
    assert {"worker a MiB", "worker b MiB"} < whole
    (reads,) = document["tables"]["Reads beside it"]
    assert reads["figures"]["reads/s"]["median"] > 0
    assert ended.value.code == (1 if document["failed"] else 0)
    printed = capsys.readouterr().out
    assert "| until minute | 0.07 | 0.13 |" in printed
    assert list((tmp_path / "cache" / "reels-analytics" / "bench").iterdir()) == []


def test_ctrl_c_ends_every_process_of_the_soak(broker: EmbeddedKafka, tmp_path: Path) -> None:
    log = tmp_path / "soak.log"
    with log.open("wb") as out:
        soak = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.soak", *SMALL, "--bootstrap", broker.bootstrap],
            cwd=ROOT,
            stderr=out,
        )
    wait_until(
        lambda: soak.poll() is not None or "two workers start" in log.read_text(), "it starts", 120
    )
    assert len(processes_of(tmp_path)) > 1
    soak.send_signal(signal.SIGINT)

    assert soak.wait(60) == 130
    assert processes_of(tmp_path) == []
    assert log.read_text().splitlines()[-1] == "stopped"
    assert list((tmp_path / "cache" / "reels-analytics" / "bench").iterdir()) == []


def processes_of(cache: Path) -> list[str]:
    """Return the processes that use ``cache`` as their cache."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes().split(b"\0")
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
        if path.parent.name != str(os.getpid()) and (
            os.fsencode(f"XDG_CACHE_HOME={cache / 'cache'}") in variables
        ):
            found.append(path.parent.name)
    return found


class TestPlan:
    def test_an_hour_has_six_parts_of_ten_minutes(self) -> None:
        plan = Plan()

        assert (plan.minutes, plan.minutes_per_part, plan.minute_s) == (60, 10, 60)
        assert (plan.restarts_at_s, plan.killed_at_s) == (24 * 60, 36 * 60)

    @pytest.mark.parametrize("seconds", [24, 300, 3600, 4 * 3600])
    def test_troubles_are_over_before_the_last_part_and_begin_after_the_second(
        self, seconds: int
    ) -> None:
        plan = Plan(seconds)
        part_s = plan.minutes_per_part * plan.minute_s

        assert 2 * part_s < plan.restarts_at_s < plan.killed_at_s
        assert plan.killed_at_s + plan.down_s < 5 * part_s

    @pytest.mark.parametrize("seconds", [24, 3600])
    def test_the_filled_state_is_in_the_window_until_the_load_has_ended(self, seconds: int) -> None:
        """Time runs to the right; the window ends at the last step.

        filled |--|  (a step)
        load           |-------|
        closes                    | filled + 24 h
        """
        plan = Plan(seconds)
        load = plan.load()

        def window_begins(t_ms: float) -> float:
            return t_ms // QUARTER_MS * QUARTER_MS + QUARTER_MS - DAY_MS

        assert plan.filling().spread_ms == QUARTER_MS
        oldest, newest = FILLED_UNTIL_MS - QUARTER_MS + 1, FILLED_UNTIL_MS
        last_ms = load.start_ms + 1000 * (seconds + COOL_DOWN_S)
        assert window_begins(last_ms) <= oldest // QUARTER_MS * QUARTER_MS
        assert window_begins(plan.closes_ms()) > newest


def sample(at_s: float, events: int, **given: Any) -> Sample:
    usual = {
        "lag": 0,
        "workers_cpu_s": 2e-6 * events,
        "broker_cpu_s": 1e-6 * events,
        "sender_cpu_s": 0.0,
        "changelog_bytes": 300.0 * events,
        "memory": {"a": 200 * MIB, "b": 100 * MIB},
        "tables": 10 * MIB,
        "changelogs": 20 * MIB,
        "input": 30 * MIB,
    }
    return Sample(at_s, events, **{**usual, **given})


class TestFigures:
    def test_counts_are_differences_memory_is_the_largest_and_disk_the_mean(self) -> None:
        samples = [
            sample(10, 1000),
            sample(15, 1500, memory={"a": 250 * MIB}, tables=40 * MIB, lag=70),
            sample(20, 3000, tables=10 * MIB),
        ]

        found = figures(samples, [10.0, 20.0])

        assert found["events/s"] == 200
        assert found["lag events max"] == 70
        assert found["workers us/event"] == pytest.approx(2)
        assert found["changelog bytes/event"] == 300
        assert (found["worker a MiB"], found["worker b MiB"]) == (250, 100)
        assert (found["tables MiB"], found["input MiB"]) == (20, 30)
        assert (found["user ms p50"], found["user ms samples"]) == (10, 2)

    def test_a_time_without_events_has_no_figures_per_event(self) -> None:
        found = figures([sample(0, 5), sample(1, 5)], [])

        assert found["events/s"] == 0
        assert "workers us/event" not in found


class StartingWorkers:
    """A rig whose workers have used a second each; reading one starts the next."""

    def __init__(self) -> None:
        self.fleet = Fleet(cast("Rig", self))

    def worker(self, name: str) -> SimpleNamespace:
        def usage() -> Usage:
            if name != "c":
                self.fleet.start(chr(ord(name) + 1))
            return Usage(1.0, 0, 0)

        return SimpleNamespace(usage=usage, metric=lambda *_: 10.0)


async def test_a_worker_that_starts_while_counts_are_read_is_in_the_next_ones() -> None:
    fleet = StartingWorkers().fleet
    fleet.start("a")
    assert [await fleet.totals() for _ in range(3)] == [(1.0, 10.0), (2.0, 20.0), (3.0, 30.0)]


def parts(**last: float) -> list[dict[str, float]]:
    usual = {
        "user ms p50": 20.0,
        "user ms p99": 40.0,
        "workers us/event": 3.0,
        "changelog bytes/event": 300.0,
        "worker a MiB": 300.0,
        "worker b MiB": 300.0,
        "changelogs MiB": 1000.0,
    }
    tables = [{**usual, "tables MiB": 1000.0 + 100 * number} for number in range(6)]
    return [*tables[:-1], {**tables[-1], **last}]


class TestVerdict:
    CLEAN = Audit(
        clean=True,
        records=0,
        outcomes={},
        users=Compared(0, 0),
        videos=Compared(0, 0),
        total_differences=0,
        differences=[],
        notes=[],
    )

    def grown(self, found: Sequence[dict[str, float]]) -> list[str]:
        return [each.figure for each in judge(found) if not each.is_flat]

    def test_what_stays_and_disk_that_grows_in_a_line_is_flat(self) -> None:
        assert self.grown(parts()) == []

    def test_a_figure_may_grow_by_fifteen_percent(self) -> None:
        assert self.grown(parts(**{"user ms p99": 45.9})) == []
        assert self.grown(parts(**{"user ms p99": 46.1})) == ["user ms p99"]
        assert self.grown(parts(**{"worker b MiB": 400.0})) == ["worker b MiB"]

    def test_disk_that_grows_ever_faster_is_told(self) -> None:
        # The second part added 100 MiB: 115 MiB and a fluctuation of 5 % are allowed.
        assert self.grown(parts(**{"tables MiB": 1590.0})) == []
        assert self.grown(parts(**{"tables MiB": 1610.0})) == ["tables MiB added"]

    def test_a_soak_fails_by_growth_by_its_rate_and_by_its_audit(self) -> None:
        assert failures(judge(parts()), self.CLEAN, 49_500, 50_000) == []
        differs = Audit(
            **{
                **{name: getattr(self.CLEAN, name) for name in self.CLEAN.__struct_fields__},
                "clean": False,
                "total_differences": 3,
            }
        )

        found = failures(judge(parts(**{"workers us/event": 4.0})), differs, 40_000, 50_000)

        assert [line.split()[0] for line in found] == ["workers", "40,000", "the"]
        assert "3 differences" in found[-1]
