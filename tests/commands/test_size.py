"""``faust -A app size`` prints what docs/scaling.md shows, and refuses what it cannot size."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import msgspec
import pytest

from commands import shapes
from commands.size import shape_of, windows_of
from settings import load
from sizing import Demand, Windows, make_plan, read_costs
from tests.cluster import without_settings
from tests.worker import ROOT

if TYPE_CHECKING:
    from pathlib import Path


PAGE = ROOT / "docs" / "scaling.md"

#: A console block with one command, and the indented block after it: the command's output.
EXAMPLE = re.compile(r"^```console\n(.+)\n```\n\n((?: {4}.*\n|\n)+)", re.MULTILINE)


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", *words],
        cwd=ROOT,
        env={**without_settings(), "PYTHONPATH": str(ROOT), "COLUMNS": "200", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def printed(*words: str, **variables: str) -> shapes.Size:
    done = run("--json", "size", *words, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return msgspec.json.decode(done.stdout, type=shapes.Size, strict=True)


EXAMPLES = EXAMPLE.findall(PAGE.read_text())


def test_the_page_has_two_examples() -> None:
    assert len(EXAMPLES) == PAGE.read_text().count("```console") == 2


@pytest.mark.parametrize(("command", "shown"), EXAMPLES)
def test_a_reader_sees_what_the_page_shows(command: str, shown: str) -> None:
    words = shlex.split(command)
    assert words[:3] == [".venv/bin/faust", "-A", "app"]
    done = run(*words[3:])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == textwrap.dedent(shown).strip() + "\n"


def test_json_has_what_the_text_says() -> None:
    words = ("--rate", "500k", "--users", "100M", "--reads", "10k", "--batch", "100")
    found = printed(*words)
    assert (found.events_per_s, found.users) == (500_000, 100_000_000)
    assert found.values_read_per_s == 10_000
    text = run("size", *words).stdout
    assert f"partitions   {found.partitions}, of" in text
    assert f"workers      {found.workers.count}, of" in text
    assert f"brokers      {found.brokers.count}, with" in text
    assert all(f"- {each}\n" in text for each in found.assumptions)
    first = re.search(r"first:\n  at .*: (.*) \(", text)
    assert first is not None
    assert first[1] == found.limits[0].part


def test_costs_may_be_a_readers_own(tmp_path: Path) -> None:
    """A slower machine needs more workers; each cost names its source."""
    path = tmp_path / "figures.json"
    document = json.loads((ROOT / "sizing" / "measured.json").read_bytes())
    document["cases"] = {"steady": document["cases"]["steady"]}
    for row in document["cases"]["steady"]["rows"]:
        for name, figure in row["figures"].items():
            if name == "worker % of a core":
                figure["median"] *= 2
    path.write_text(json.dumps(document))
    words = ("--rate", "1M", "--users", "10M", "--costs", str(path))

    slow = printed(*words)

    ours = make_plan(Demand(1_000_000, 10_000_000), read_costs())
    assert slow.workers.count > ours.workers.count
    assert {each.cases for each in slow.costs if each.own} == {"steady"}
    text = run("size", *words, "--show-costs").stdout
    assert re.search(r"worker_us_per_event .* yours: steady\n", text)
    assert re.search(r"read_us_per_value .* ours: reads\n", text)


def test_windows_are_the_apps_own() -> None:
    words = ("--rate", "100k", "--users", "10M")
    found = printed(*words, REELS_USER_STEP="5m", REELS_CREATORS="off")
    windows = Windows(user_step_s=300.0, has_creators=False)
    plan = make_plan(Demand(100_000, 10_000_000), read_costs(), windows=windows)
    assert found == shape_of(plan)


def test_default_windows_are_those_of_the_settings() -> None:
    assert windows_of(load({})) == Windows()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--rate", "0"), "'--rate': '0' is not a whole number from 1 to 1,000B, such as 500000"),
        (
            ("--rate", "1k", "--users", "1k", "--commit-interval", "nan"),
            "'--commit-interval': 'nan' is not seconds, above 0 and up to 10",
        ),
        (("--rate", "1k", "--users", "1k", "--active", "4"), "'--active': not a duration: '4'"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(words: tuple[str, ...], reason: str) -> None:
    done = run("size", *words)
    assert done.returncode == 2
    assert reason in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--rate", "1000B", "--users", "1B"), "one app has at most 1024 partitions"),
        (("--rate", "1k", "--users", "1k", "--costs", "README.md"), "README.md is not what"),
    ],
)
def test_what_cannot_be_sized_is_an_error_in_one_line(words: tuple[str, ...], reason: str) -> None:
    done = run("size", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
