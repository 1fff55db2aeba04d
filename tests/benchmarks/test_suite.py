"""The suite runs in its smallest sizes and reports figures; their values are not tested."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks import spike
from benchmarks.__main__ import main, parse
from benchmarks.growth import Situation, situations
from benchmarks.rig.odd_kinds import KINDS, PARTITIONS
from models.event import Event, Rejected, decode
from models.partitioner import murmur2_partitions
from sizing.measures import FIGURES

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.rig.odd_kinds import OddKind
    from embedded import EmbeddedKafka


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_smallest_cases_end_with_figures(
    broker: EmbeddedKafka,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "figures.json"
    monkeypatch.setattr(spike, "BEFORE_S", 2.0)
    monkeypatch.setattr(spike, "AFTER_S", 8.0)

    main(
        [
            *(
                "backlog",
                "steady",
                "spike",
                "reads",
                "aging",
                "micro",
                "functions",
                "--size",
                "smoke",
            ),
            *("--output", str(output), "--bootstrap", broker.bootstrap),
        ]
    )

    cases = json.loads(output.read_text())["cases"]
    loads = {row["setting"]["load"]: row["figures"] for row in cases["backlog"]["rows"]}
    assert set(loads) == {"sessions", "uniform"}
    assert all(figures["events/s"]["median"] > 0 for figures in loads.values())
    steady, viral = cases["steady"]["rows"]
    assert steady["figures"]["user ms samples"]["median"] == 16
    assert steady["figures"]["video ms p99"]["median"] > 0
    assert viral["figures"]["listed ms samples"]["median"] == 4
    assert viral["figures"]["listed ms p99"]["median"] > 0
    (burst,) = cases["spike"]["rows"]
    assert burst["figures"]["most behind"]["median"] > 1000
    assert burst["figures"]["user ms samples"]["median"] == 20
    assert burst["figures"]["catching up events/s"]["median"] > 0
    reads = {row["setting"]["reads"]: row["figures"] for row in cases["reads"]["rows"]}
    assert {"single, idle", "batches of 100, idle", "batches of 1,000, Arrow, idle"} < set(reads)
    assert all(figures["values/s"]["median"] > 0 for figures in reads.values())
    young, old = (row["figures"] for row in cases["aging"]["rows"])
    assert young["changelog bytes/event"]["median"] < old["changelog bytes/event"]["median"]
    assert old["us/event"]["median"] > 0
    functions = {row["setting"]["function"]: row["figures"] for row in cases["functions"]["rows"]}
    assert all(figures["ours per obvious"]["median"] > 0 for figures in functions.values())
    stages = [row["setting"]["stage"] for row in cases["micro"]["rows"]]
    assert {
        "decode, check and place (plain)",
        "merge and pack (plain)",
        "RocksDB write batch",
    } <= set(stages)
    # The figures that `faust -A app size --costs` reads.
    for name in ("backlog", "steady", "reads", "aging"):
        assert set(FIGURES[name]) <= cases[name]["rows"][0]["figures"].keys()
    assert "events/s" in capsys.readouterr().out
    # The working files are deleted.
    assert list((tmp_path / "cache" / "reels-analytics" / "bench").iterdir()) == []


def test_workers_that_come_and_go_are_measured(broker: EmbeddedKafka, tmp_path: Path) -> None:
    output = tmp_path / "figures.json"

    main(
        [
            *("recovery", "takeover", "--size", "smoke"),
            *("--output", str(output), "--bootstrap", broker.bootstrap),
        ]
    )

    cases = json.loads(output.read_text())["cases"]
    lost, kept = (row["figures"] for row in cases["recovery"]["rows"])
    assert kept["ready s"]["median"] > 0
    assert set(FIGURES["recovery"]) <= lost.keys()
    # Users, and sealed blocks of those with many ids.
    assert 10_000 < lost["restored records"]["median"] <= 12_000
    takeovers = {row["setting"]["a worker"]: row["figures"] for row in cases["takeover"]["rows"]}
    assert set(takeovers) == {"comes, empty disk", "is stopped", "with a name restarts"}
    assert all(figures["moved uncounted s"]["median"] > 0 for figures in takeovers.values())
    assert takeovers["with a name restarts"]["rebalances"]["median"] == 0


def test_odd_kinds_of_events_are_measured_beside_plain_ones(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    output = tmp_path / "figures.json"

    main(
        [
            *("odd", "odd_micro", "--size", "smoke"),
            *("--output", str(output), "--bootstrap", broker.bootstrap),
        ]
    )

    cases = json.loads(output.read_text())["cases"]
    for name, rate in ("odd", "events/s"), ("odd_micro", "decode us"):
        found = {row["setting"]["kind"]: row["figures"] for row in cases[name]["rows"]}
        assert set(found) == {"plain", "wrong: creator_id, text", "rejected: missing_field"}
        assert found["plain"]["times plain"]["median"] == 1
        assert all(figures[rate]["median"] > 0 for figures in found.values())


def test_plain_faust_is_measured_beside_this_program(broker: EmbeddedKafka, tmp_path: Path) -> None:
    output = tmp_path / "figures.json"

    main(["plain", "--size", "smoke", "--output", str(output), "--bootstrap", broker.bootstrap])

    ours, *plain = json.loads(output.read_text())["cases"]["plain"]["rows"]
    assert [row["setting"]["guarantee"] for row in plain] == ["at least once", "exactly once"]
    rate = ours["figures"]["events/s"]["median"]
    for row in plain:
        times = ours["figures"][f"times plain {row['setting']['guarantee']}"]["median"]
        assert times == rate / row["figures"]["events/s"]["median"] > 0
        assert row["figures"]["worker us/event"]["median"] > 0


@pytest.mark.parametrize(
    ("users", "sizes"),
    [
        (10_000_000, [100_000, 1_000_000, 10_000_000]),
        (1_000_000, [100_000, 1_000_000]),
        (10_000, [1_000, 10_000]),
    ],
)
def test_growth_is_measured_by_tens_up_to_the_largest_state(users: int, sizes: list[int]) -> None:
    found = situations(users)

    for load in ("sessions", "uniform"):
        plain = [each for each in found if each == Situation(each.users, load)]
        assert [each.users for each in plain] == sizes
    assert {each.panes for each in found} == {1, 24, 96}
    assert {each.partitions for each in found} == {8, 32, 64}
    assert {each.workers for each in found} == {1, 2}


def test_an_unknown_case_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse(["backlok"])

    assert "backlog" in capsys.readouterr().err


def test_parts_of_a_case_are_named_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["reads", "--parts", "single,json"]).parts == ("single", "json")
    with pytest.raises(SystemExit):
        parse(["reads", "--parts", "singel"])

    assert "single" in capsys.readouterr().err


class TestKindsOfOddEvents:
    """The outcomes of each kind's events match its name."""

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
    def test_all_events_are_of_their_kind(self, kind: OddKind) -> None:
        load = kind.load()
        if kind.group == "late":
            load.chunk(5)
        dropped: list[str] = []
        chunk = load.chunk(5)
        found = [decode(value, dropped) for value in chunk.values]
        reasons = {each.reason for each in found if isinstance(each, Rejected)}
        decoded = [each for each in found if isinstance(each, Event)]

        if kind.group == "wrong optional value":
            name = kind.name.removeprefix("wrong: ").split(",")[0]
            assert [each.rpartition(".")[2] for each in dropped] == [name] * 5
        else:
            assert dropped == []
        if kind.group == "rejected" and kind.name != "rejected: future_timestamp":
            assert reasons == {kind.name.removeprefix("rejected: ")}
        else:
            assert len(decoded) == 5
        right = murmur2_partitions([each.user_id for each in decoded], PARTITIONS)
        is_misplaced = kind.group == "mis-keyed"
        assert all((chunk.partitions(PARTITIONS)[: len(right)] != right) == is_misplaced)
        year = 4025 if kind.name == "rejected: future_timestamp" else 2025
        assert {each.timestamp.year for each in decoded} <= {year}
        if kind.group == "late":
            assert {each.timestamp.day for each in decoded} == {13}
        if kind.group == "duplicates":
            assert kind.load().chunk(8_193).values[-1] == kind.load().chunk(1).values[0]
