"""The output of ``status``, and when its exit code is 0."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from commands.status_tables import is_well, rendered

A, B = "http://127.0.0.1:6066", "http://127.0.0.1:6067"


def figures(**changes: Any) -> dict[str, Any]:
    """Two workers with four partitions each, all well."""

    def worker(url: str, numbers: list[int]) -> dict[str, Any]:
        lag = {"records": 1234, "seconds": 0.25}
        known = {"url": url, "partitions": numbers, "state": "ready", "obstacle": None}
        return {**known, "rate": 12_345.0, "uptime_s": 98_765.0, "lag": lag}

    return {
        "time": "2025-01-15T14:30:45.123Z",
        "rate": 24_690.0,
        "lag": {"records": 2468, "seconds": 0.25, "at_least": 2468, "unanswered": []},
        "workers": [worker(A, [0, 1, 2, 3]), worker(B, [4, 5, 6, 7])],
        "rules": [],
        "partitions": [
            {
                "number": number,
                "worker": A if number < 4 else B,
                "state": "ready",
                "lag": {"records": 300, "seconds": 0.25},
            }
            for number in range(8)
        ],
        "viral": {"count": 3},
        **changes,
    }


def text_of(shown: dict[str, Any], expected: int = 0, width: int = 80) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(rendered(shown, expected))
    return captured.get()


def without_second() -> dict[str, Any]:
    """Return the same figures just after the second worker was killed."""
    shown = figures()
    shown["workers"][1] = {"url": B, "partitions": [4, 5, 6, 7], "state": "silent"}
    shown["workers"][1]["since"] = "2025-01-15T14:30:44Z"
    for each in shown["partitions"][4:]:
        each.update(state="silent", lag={"records": None, "seconds": None})
    shown["lag"] = {"records": None, "seconds": None, "at_least": 1200, "unanswered": [4, 5, 6, 7]}
    return shown


def test_in_80_columns_each_worker_has_a_name_of_its_own_and_nothing_is_cut() -> None:
    text = text_of(figures())
    assert "127.0.0.1:6066" in text
    assert "127.0.0.1:6067" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_name_that_is_too_long_goes_on_in_the_next_line() -> None:
    shown = figures()
    long = "http://reels-{}.reels.production.svc.cluster.local:6066"
    shown["workers"][0]["url"], shown["workers"][1]["url"] = long.format(0), long.format(1)
    text = text_of(shown)
    assert "reels-0" in text
    assert "reels-1" in text
    assert "…" not in text


def test_what_nobody_knows_is_unknown_and_the_exit_code_goes_by_the_worst_partition() -> None:
    assert is_well(figures())
    shown = without_second()
    assert not is_well(shown)
    text = text_of(shown, width=160)
    assert "at least 1,200 records, unknown behind (4 of 8 partitions have no answer)" in text
    assert text.count("unknown") == 1 + 2 * 4
    assert "silent since 14:30:44" in text
    shown["lag"]["at_least"] = 0
    assert "unknown records, unknown behind" in text_of(shown, width=160)


def test_the_lag_of_a_worker_that_answers_is_a_number_or_unknown() -> None:
    shown = figures()
    shown["workers"][1] |= {"state": "not_ready", "lag": None}
    (row,) = (line for line in text_of(shown, width=160).splitlines() if "not_ready" in line)
    assert row.count("unknown") == 2


@pytest.mark.parametrize(("state", "well"), [("left", True), ("lost", False), ("silent", False)])
def test_a_worker_that_left_is_no_trouble_and_one_that_was_lost_is(state: str, well: bool) -> None:
    shown = figures()
    shown["workers"].append({"url": "http://c:1", "partitions": [], "state": state, "since": "x"})
    assert is_well(shown) is well


def test_why_a_lost_worker_ends_status_with_1_is_said_below_the_tables() -> None:
    """By then all partitions are ready again, and the headline shows no problem."""
    shown = figures()
    shown["workers"].append({"url": "http://c:1", "partitions": [], "state": "lost", "since": "x"})
    assert text_of(shown).splitlines()[-1] == "lost: c:1 (shown for 15 minutes, or until back)"


def test_fewer_workers_than_expected_are_trouble_and_said() -> None:
    assert is_well(figures(), 2)
    assert not is_well(figures(), 3)
    assert "2 of 3 expected workers answer" in text_of(figures(), 3)


def test_different_rules_are_trouble_and_said() -> None:
    rules = [{"variable": "REELS_VIRAL_COEFFICIENT", "values": {"1.5": [A], "2.0": [B]}}]
    shown = figures(rules=rules)
    assert not is_well(shown)
    text = " ".join(text_of(shown).split())
    assert (
        "different rules: REELS_VIRAL_COEFFICIENT is 1.5 at 127.0.0.1:6066, 2.0 at 127.0.0.1:6067"
        in text
    )
