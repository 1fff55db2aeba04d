"""``.env`` in the working folder sets variables for all commands; the environment wins."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from commands.dead_letters import _parse_since
from embedded.probe import free_ports
from streaming.runtime.data_directory import lock
from tables.users import NAME as USERS
from tests.cluster import without_settings
from tests.worker import ROOT

if TYPE_CHECKING:
    from pathlib import Path


ENVIRONMENT = {**without_settings(), "PYTHONPATH": str(ROOT)}


def run(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", *words],
        cwd=folder,
        env={**ENVIRONMENT, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_ports_are_set_once_for_all_commands(tmp_path: Path) -> None:
    """The commands that run Kafka, ask a worker and ask Kafka all use the same file."""
    kafka, web = free_ports(2)
    (tmp_path / ".env").write_text(f"BROKER_URL=kafka://127.0.0.1:{kafka}\nWEB_PORT={web}\n")
    assert f"127.0.0.1:{web}: Connection refused" in run(tmp_path, "status").stderr
    assert f"127.0.0.1:{kafka}" in run(tmp_path, "audit").stderr
    code = "import app; from commands.kafka import default_port; print(default_port())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{kafka}\n"


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    """An empty variable wins, too: it selects the program's default."""
    (tmp_path / ".env").write_text("WEB_PORT=1001\nREELS_APP_ID=of-the-file\n")
    assert "127.0.0.1:1002:" in run(tmp_path, "status", WEB_PORT="1002").stderr
    code = "import app; s = app.app.task_context.settings; print(s.app_id, s.web_port)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**ENVIRONMENT, "WEB_PORT": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "of-the-file 6066\n"


def test_a_file_that_cannot_be_read_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    done = run(tmp_path, "status")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / '.env'} cannot be read")


def test_a_wrong_value_of_the_file_is_refused_like_one_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WEB_PORT=many\n")
    done = run(tmp_path, "status")
    assert done.returncode == 2
    assert "error: WEB_PORT = 'many' is wrong" in done.stderr


def test_options_in_place_of_settings_are_checked_like_them(tmp_path: Path) -> None:
    """An empty id would let a rebuild's worker join the running app."""
    done = run(tmp_path, "rebuild", "--to-app-id", "")
    assert done.returncode == 2
    assert "'' is not" in done.stderr
    done = run(tmp_path, "rescale", "--partitions", "0")
    assert done.returncode == 2
    assert "'0' is not an integer from 1" in done.stderr


def test_a_dry_run_deletes_no_topics(tmp_path: Path) -> None:
    done = run(tmp_path, "rescale", "--partitions", "4", "--delete-old", "--dry-run")
    assert done.returncode == 1
    assert done.stderr == "error: --dry-run has no plan for --delete-old: leave one out\n"


def test_copies_that_a_worker_uses_are_not_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    copy = folder / "v1" / "tables" / f"{USERS}-0.db"
    copy.mkdir(parents=True)
    file, _ = lock(folder / "v1", folder)
    done = run(tmp_path, "-D", str(folder), "reset")
    assert (done.returncode, copy.exists()) == (1, True)
    assert "in use by another worker" in done.stderr
    file.close()
    assert run(tmp_path, "-D", str(folder), "reset").returncode == 0
    assert not copy.exists()


def test_a_worker_at_another_address_is_asked_there(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    said = run(tmp_path, "status", WEB_BIND="::1", WEB_PORT=str(port)).stderr
    assert f"http://[::1]:{port}" in said


def test_dead_letters_since_before_the_epoch_are_all(tmp_path: Path) -> None:
    """Kafka refuses such a time; here no broker answers either way."""
    for since in ("1000000h", "0001-01-01T00:00:00Z"):
        done = run(tmp_path, "dead-letters", "--since", since, BROKER_URL="kafka://127.0.0.1:1")
        assert done.returncode == 2
        assert "no broker answers" in done.stderr
    assert _parse_since("1000000h") == _parse_since("0001-01-01T00:00:00Z") == 0
