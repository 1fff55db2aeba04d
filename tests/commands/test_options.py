"""Options of ``faust`` before a command work as the help says, or are refused in one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from commands.options import _USED_BY
from embedded.probe import free_ports
from embedded.process import BoundProcess
from tests.cluster import without_settings
from tests.worker import ROOT, wait_until

if TYPE_CHECKING:
    from pathlib import Path


ENVIRONMENT = {
    **without_settings(),
    "PYTHONPATH": str(ROOT),
    # Nobody listens there: a worker logs its settings before it needs a broker.
    "BROKER_URL": "kafka://127.0.0.1:1",
    "COLUMNS": "200",
}
FAUST = [sys.executable, "-m", "faust", "-A", "app"]


def run(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FAUST, *words],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def worker_settings(tmp_path: Path, *words: str) -> dict[str, str]:
    """Return the settings that a worker with this command line logs."""
    log = tmp_path / "log"
    worker = BoundProcess([*FAUST, *words], output=log, env={**ENVIRONMENT, "PWD": str(tmp_path)})
    worker.start()
    try:
        wait_until(lambda: "REELS_ACCELERATOR = " in log.read_text(), "the settings are listed")
    finally:
        worker.kill()
    lines = (line.partition("]: ")[2].strip() for line in log.read_text().splitlines())
    return dict(line.split(" = ", 1) for line in lines if " = " in line)


@pytest.mark.parametrize("side", ["before", "after", "short before", "short after"])
def test_data_directory_and_web_port_are_taken_on_both_sides_of_worker(
    tmp_path: Path, side: str
) -> None:
    """``faust -A app -D DIR worker`` uses that folder, as do all other spellings."""
    (port,) = free_ports(1)
    folder = tmp_path / "tables"
    datadir = ["-D" if "short" in side else "--datadir", str(folder)]
    options = [*datadir, "--web-port", str(port)]
    words = [*options, "worker"] if "before" in side else ["worker", *options]
    found = worker_settings(tmp_path, *words, "-l", "info")
    assert (found["APP_DATADIR"], found["WEB_PORT"]) == (str(folder), str(port))
    assert (folder / "v1" / "lock").exists()


def test_the_option_after_the_command_wins(tmp_path: Path) -> None:
    """Of two data directories, the one after ``worker`` wins."""
    first, second = tmp_path / "first", tmp_path / "second"
    found = worker_settings(
        tmp_path, *("--datadir", str(first), "worker", "--datadir", str(second), "-l", "info")
    )
    assert found["APP_DATADIR"] == str(second)
    assert not first.exists()


@pytest.mark.parametrize(
    ("option", "command"),
    [
        (["--json"], "generate"),
        (["--json"], "worker"),
        (["--datadir", "elsewhere"], "audit"),
        (["-D", "elsewhere"], "kafka"),
        (["--web-port", "7001"], "audit"),
        (["-l", "info"], "status"),
        (["--loop", "aio"], "topics"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else each,
)
def test_an_option_that_a_command_does_nothing_with_is_refused(
    option: list[str], command: str
) -> None:
    """No option is silently ignored."""
    done = run(*option, command)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert f"{command} does not accept --" in line
    assert "Traceback" not in done.stderr


def test_a_folder_to_work_in_may_be_relative(tmp_path: Path) -> None:
    """``-W DIR`` changes the folder only once."""
    (tmp_path / "sub").mkdir()
    done = run("-W", "sub", "--json", "models", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_the_help_lists_every_option_and_no_loop_that_is_not_installed() -> None:
    done = run("--help")
    assert "--web-port" in done.stdout
    assert "eventlet" not in done.stdout


def test_every_option_is_used_by_commands_that_there_are() -> None:
    listed = run("--help").stdout.partition("Commands:")[2]
    commands = set(re.findall(r"^  ([a-z-]+) ", listed, re.MULTILINE))
    assert set.union(*_USED_BY.values()) <= commands
