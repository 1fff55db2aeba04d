"""Kafka's log is long; its user gets one line."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from embedded.diagnosis import explain_failure, explain_os_error
from embedded.folder import DataFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    (tmp_path / "logs").mkdir()
    return DataFolder(tmp_path)


def test_a_full_disk_in_kafkas_log_is_told_as_such(folder: DataFolder) -> None:
    (folder.logs / "server.log").write_text(
        "[2025-01-15 14:30:45,123] ERROR Error while writing to checkpoint file (x)\n"
        "java.io.IOException: No space left on device\n"
        "[2025-01-15 14:30:45,124] ERROR Shutdown broker because all log dirs have failed (y)\n"
    )
    assert "is full: free some space" in str(explain_failure("ended", folder))


def test_a_full_disk_under_the_settings_is_told_as_such(folder: DataFolder) -> None:
    error = explain_os_error(OSError(errno.ENOSPC, "No space left on device"), folder)
    assert "is full: free some space" in str(error)


def test_the_last_error_of_the_log_is_the_reason_and_the_last_lines_are_notes(
    folder: DataFolder,
) -> None:
    lines = [f"[2025-01-15 14:30:45,123] INFO line {number} (x)" for number in range(30)]
    lines[10] = "[2025-01-15 14:30:45,123] ERROR the reason (x)"
    (folder.logs / "server.log").write_text("\n".join(lines))
    error = explain_failure("Kafka ended", folder)
    assert str(error) == "Kafka ended: the reason (x)"
    assert error.__notes__ == lines[-20:]


def test_a_node_that_wrote_nothing_is_told_as_such(folder: DataFolder) -> None:
    assert str(explain_failure("Kafka ended", folder)) == "Kafka ended: it wrote no log"
