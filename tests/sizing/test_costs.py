"""Costs are read from the output of the benchmark suite, each from its case."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rig.figures import Row
from benchmarks.rig.report import write_json
from sizing import Demand, SizingError, make_plan, read_costs
from sizing.costs import Costs
from sizing.documents import decode, read_document
from sizing.measures import UNITS
from sizing.report import text_of
from tests.worker import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


STEADY: list[tuple[float, dict[str, float]]] = [
    (25_000, {"worked off events/s": 25_000, "worker % of a core": 20, "broker % of a core": 15}),
    (50_000, {"worked off events/s": 50_000, "worker % of a core": 30, "broker % of a core": 25}),
    # Rate not held: figures beyond the knee are no costs per event.
    (75_000, {"worked off events/s": 52_000, "worker % of a core": 99, "broker % of a core": 99}),
]
READS: list[tuple[str, dict[str, float]]] = [
    ("single, idle", {"server us/value": 104}),
    ("batches of 100, idle", {"server us/value": 5}),
]


def rows(
    name: str, measured: Iterable[tuple[str | float, dict[str, float]]]
) -> list[dict[str, Any]]:
    found = []
    for value, figures in measured:
        row = Row({name: value, "users": 1_000_000})
        row.add(figures)
        found.append(row.as_json())
    return found


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a document of some cases, as the suite does."""

    def write(**cases: list[dict[str, Any]]) -> Path:
        path = tmp_path / "figures.json"
        machine = {"processor": "A processor", "cores": "64", "commit": "0123456789ab"}
        document: dict[str, Any] = {
            "begun": "2025-01-15T12:00:00+00:00",
            "size": "quick",
            "machine": machine,
        }
        document["command"] = "python -m benchmarks steady"
        document["cases"] = {
            name: {"title": name, "seconds": 1.0, "rows": found} for name, found in cases.items()
        }
        write_json(path, document)
        return path

    return write


def test_the_shipped_costs_are_complete_and_name_machine_commit_and_command() -> None:
    costs = read_costs()
    assert not any(each.is_own for each in costs.all())
    (origin,) = costs.origins
    assert origin.startswith("ours, ")
    assert "cores, commit " in origin
    assert "python -m benchmarks" in origin
    assert {each.name for each in costs.all()} == UNITS.keys()
    assert {each.name for each in fields(Costs)} - {"origins"} == UNITS.keys()


def test_a_readers_cases_go_before_ours(written: Callable[..., Path]) -> None:
    costs = read_costs(read_document(written(steady=rows("events/s", STEADY))))
    own = {each.name for each in costs.all() if each.is_own}
    assert own == {
        "worker_fixed_cores",
        "worker_us_per_event",
        "steady_users",
        "broker_us_per_event",
    }
    assert costs.worker_fixed_cores.value == pytest.approx(0.10)
    assert costs.worker_us_per_event.value == pytest.approx(4.0)
    assert costs.broker_us_per_event.value == pytest.approx(5.0)
    yours, ours = costs.origins
    assert yours == "yours, A processor, 64 cores, commit 0123456789ab: python -m benchmarks steady"
    assert ours == read_costs().origins[0]


def test_a_request_and_a_value_in_it_are_told_apart(written: Callable[..., Path]) -> None:
    costs = read_costs(read_document(written(reads=rows("reads", READS))))
    assert costs.read_us(1) == pytest.approx(104)
    assert costs.read_us(100) == pytest.approx(5)
    assert costs.read_us_per_request.value == pytest.approx(100)


def test_our_own_cases_are_read_as_a_readers_are() -> None:
    own, ours = read_costs(read_document(ROOT / "sizing" / "measured.json")), read_costs()
    assert all(each.is_own for each in own.all())
    assert len(own.origins) == 1
    assert own.worker_us("uniform", 5e6, 20, 4) == ours.worker_us("uniform", 5e6, 20, 4)


def test_only_the_rates_that_a_worker_held_count(written: Callable[..., Path]) -> None:
    path = written(steady=rows("events/s", STEADY[2:]))
    with pytest.raises(SizingError, match="holds none of its rates"):
        read_costs(read_document(path))


def test_a_document_without_a_case_of_use_is_refused_with_those_that_are(
    written: Callable[..., Path],
) -> None:
    with pytest.raises(SizingError, match="cases of use: steady, backlog"):
        read_costs(read_document(written(micro=[])))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "truncated"),
        (b"\xff", "malformed"),
        (b"[]", "Expected `object`"),
        (b'{"machine": {}, "command": ""}', "missing required field `cases`"),
        (b'{"machine": {}, "command": "", "cases": {"steady": {"rows": [{}]}}}', "`setting`"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(SizingError) as refused:
        read_document(path)
    assert str(refused.value).startswith(f"{path} is not what `python -m benchmarks")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SizingError, match=r"none\.json cannot be read: No such file"):
        read_document(tmp_path / "none.json")


def test_a_negative_figure_is_refused(written: Callable[..., Path]) -> None:
    path = written(reads=rows("reads", [("single, idle", {"server us/value": -1})]))
    with pytest.raises(SizingError, match="'server us/value' is negative"):
        read_document(path)


def test_a_state_without_a_changelog_was_not_measured(written: Callable[..., Path]) -> None:
    figures: dict[str, float] = {"disk bytes/user": 9, "changelog bytes/user": 0, "peak RSS MiB": 9}
    path = written(memory=rows("load", [("uniform", figures)]), reads=rows("reads", READS))
    costs = read_costs(read_document(path))
    assert not costs.changelog_bytes_per_user.is_own
    assert costs.read_us_per_value.is_own


NUMBERS = st.floats(0, 1e9) | st.integers(0, 10**9)
SETTINGS = {
    "events/s": NUMBERS,
    "users": NUMBERS,
    "minutes": NUMBERS,
    "load": st.sampled_from(["sessions", "uniform"]),
    "panes": st.sampled_from([1, 24, 96]),
    "partitions": st.sampled_from([8, 32]),
    "workers": st.sampled_from([1, 2]),
    "reads": st.sampled_from(["single, idle", "batches of 100, idle"]),
}
FIGURES = (
    *("worked off events/s", "worker % of a core", "broker % of a core", "worker us/event"),
    *("peak RSS MiB", "us/event", "changelog bytes/event", "server us/value", "disk bytes/user"),
    *("changelog bytes/user", "restored records/s"),
)
ROWS = st.fixed_dictionaries(
    {
        "setting": st.fixed_dictionaries({}, optional=SETTINGS),
        "figures": st.dictionaries(
            st.sampled_from(FIGURES), NUMBERS.map(lambda number: {"median": number})
        ),
    }
)
CASES = st.dictionaries(
    st.sampled_from(["backlog", "steady", "reads", "aging", "memory", "growth", "recovery"]),
    st.lists(ROWS, max_size=4).map(lambda found: {"rows": found}),
)


@given(CASES)
def test_whatever_a_file_has_it_is_sized_or_refused(cases: dict[str, Any]) -> None:
    content = json.dumps({"machine": {}, "command": "", "cases": cases}).encode()
    refusal = ""
    try:
        plan = make_plan(Demand(10_000, 1_000_000), read_costs(decode(content, "any.json")))
    except SizingError as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert refusal or text_of(plan, with_costs=True)
