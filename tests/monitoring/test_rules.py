"""The alert rules: well-formed, tested by promtool, and each with a section in the runbook."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.documents import blocks
from tests.monitoring.queries import ROOT, rules

if TYPE_CHECKING:
    from pathlib import Path


FOLDER = ROOT / "monitoring"


def promtool(*args: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        assert not os.environ.get("CI"), "promtool is missing: install Debian's prometheus"
        pytest.skip("no promtool here: it comes with Debian's package prometheus")
    return subprocess.run([program, *args], cwd=FOLDER, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "args",
    [
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_is_content(args: tuple[str, ...]) -> None:
    done = promtool(*args)
    assert done.returncode == 0, done.stdout + done.stderr


def configurations() -> list[str]:
    """Return the configurations in docs/how-to/monitor.md: Prometheus', then Alertmanager's."""
    return [block.text for block in blocks() if block.language == "yaml"]


def test_the_configuration_that_is_shown_for_plain_machines_is_valid(tmp_path: Path) -> None:
    """Next to the rules, as the page says, and with the job name that the rules need."""
    shown, _ = configurations()
    (tmp_path / "prometheus.yml").write_text(shown)
    shutil.copy(FOLDER / "alerts.yml", tmp_path)
    (job,) = yaml.safe_load(shown)["scrape_configs"]
    assert job["job_name"] == "reels"
    done = promtool("check", "config", "--syntax-only", str(tmp_path / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_sends_each_alert_to_a_receiver_that_there_is() -> None:
    _, shown = configurations()
    shown = yaml.safe_load(shown)
    names = {each["name"] for each in shown["receivers"]}
    assert {shown["route"]["receiver"], *(r["receiver"] for r in shown["route"]["routes"])} == names


def test_each_alert_is_made_to_fire_and_not_to_fire() -> None:
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    expected = {
        f"{rule['alert']} {what}" for rule in rules() for what in ("fires", "does not fire")
    }
    assert {test["name"].partition(":")[0] for test in tests} == expected


def test_each_alert_says_how_bad_it_is_and_what_it_is() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]


def test_each_alert_has_its_section_in_the_runbook_and_each_section_its_alert() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text()
    sections = re.findall(r"^## (Reels\w+)$", page, re.MULTILINE)
    assert sections == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
