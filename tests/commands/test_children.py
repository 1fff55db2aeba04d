"""A command that is run as a child has this process's folder and settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from commands.children import last_words, own_command

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

#: An app module that says where it is loaded, and ends.
PROBE = """
import json, os, sys
import setting_file
setting_file.read_env_file()
print(json.dumps([os.getcwd(), *(os.environ.get(name) for name in "ABCD")]))
sys.exit(3)
"""


def test_a_child_has_the_folder_and_the_settings_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables: of the file alone, taken out after it was read, changed, and given anew."""
    (tmp_path / ".env").write_text("A=file\nB=file\nC=file\n")
    (tmp_path / "probe.py").write_text(PROBE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("A", "file")
    monkeypatch.delenv("B", raising=False)
    monkeypatch.setenv("C", "environment")
    log = tmp_path / "elsewhere" / "log"
    log.parent.mkdir()
    child = own_command("probe", ["size"], log, D="given")
    child.start()
    assert child.wait(60)
    said = json.loads(log.read_text().splitlines()[-1])
    assert said == [str(tmp_path), "file", "", "environment", "given"]
    assert last_words(log, child.exit_code).startswith("has ended with exit code 3: [")


def test_last_words_are_the_last_line_without_error(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\nerror: no disk\n\n")
    assert last_words(log, 1) == "has ended with exit code 1: no disk"
    log.write_text("")
    assert last_words(log, -9) == "was ended by SIGKILL"
