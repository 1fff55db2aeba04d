"""Percentiles, reports and values read from /proc: the published figures depend on them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rig.figures import Row, percentile, percentiles
from benchmarks.rig.processes import Usage, folder_bytes, parse_cpu_s
from benchmarks.rig.report import cells_of, format_number, format_runs, markdown_of, write_json

if TYPE_CHECKING:
    from pathlib import Path


def test_percentiles_of_a_hundred_samples_are_what_one_counts_by_hand() -> None:
    samples = [float(number) for number in range(100, 0, -1)]

    assert [percentile(samples, p) for p in (0, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentiles(samples, "ms") == {
        "ms p50": 50,
        "ms p95": 95,
        "ms p99": 99,
        "ms max": 100,
        "ms samples": 100,
    }


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(0, 100))
def test_a_percentile_is_a_sample_with_enough_samples_at_or_below_it(
    samples: list[float], percent: float
) -> None:
    found = percentile(samples, percent)

    assert found in samples
    assert sum(sample <= found for sample in samples) >= len(samples) * percent / 100 * (1 - 1e-12)
    smaller = [sample for sample in samples if sample < found]
    assert len(smaller) < max(1.0, len(samples) * percent / 100 * (1 + 1e-12))


def test_no_percentile_is_made_up_of_nothing() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)
    assert percentiles([], "ms") == {"ms samples": 0}


def test_a_row_tells_the_median_the_spread_and_all_runs() -> None:
    row = Row({"load": "sessions"})
    for rate in (70_721.0, 72_600.0, 71_513.0):
        row.add({"events/s": rate})

    assert row.as_json() == {
        "setting": {"load": "sessions"},
        "figures": {
            "events/s": {
                "median": 71_513.0,
                "min": 70_721.0,
                "max": 72_600.0,
                "runs": [70_721.0, 72_600.0, 71_513.0],
            }
        },
    }
    assert format_runs(row.runs["events/s"]) == "71,513 (70,721 to 72,600)"


def test_numbers_keep_three_digits_or_so() -> None:
    texts = [format_number(number) for number in (71513.4, 11.42, 0.617, 3.0, 0.0)]

    assert texts == ["71,513", "11.4", "0.62", "3", "0"]


def test_rows_with_other_figures_leave_cells_empty() -> None:
    first, second = Row({"case": "a"}), Row({"case": "b", "users": 1_000_000})
    first.add({"us": 1.5})
    second.add({"ms": 20.5})

    assert cells_of([first, second]) == [["a", "", "1.50", ""], ["b", "1,000,000", "", "20.5"]]
    assert markdown_of([first]) == "| case | us |\n| --- | --- |\n| a | 1.50 |\n"


def test_a_document_is_written_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "results" / "one.json"

    write_json(path, {"cases": {}})

    assert json.loads(path.read_text()) == {"cases": {}}
    assert [each.name for each in path.parent.iterdir()] == ["one.json"]


def test_processor_time_is_read_whatever_the_program_is_called() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    fields = ["S", *["0"] * 10, str(3 * ticks), str(2 * ticks), *["0"] * 20]

    assert parse_cpu_s(f"42 (a) (odd name) {' '.join(fields)}") == 5.0


def test_usage_of_this_process_grows_with_its_work() -> None:
    before = Usage.of(os.getpid())
    sum(number * number for number in range(3_000_000))
    after = Usage.of(os.getpid())

    assert after.cpu_s > before.cpu_s
    assert after.peak_rss >= after.rss > 0


def test_a_folder_takes_what_its_files_take(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(os.urandom(100_000))

    assert 100_000 <= folder_bytes(tmp_path) <= 200_000
