"""Processes that recount shares of an audit end with it, and their errors are its own."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from auditing import AuditError
from commands import audit_processes, children
from commands.audit_processes import AuditProcesses, ShareProgress, processes_for
from embedded.process import BoundProcess
from tests.ports import reserve_ports

if TYPE_CHECKING:
    from pathlib import Path


class Counted:
    """A progress display that adds up."""

    done = 0

    def begin(self, what: str, total: int) -> None:
        raise AssertionError(what)

    def advance(self, count: int) -> None:
        self.done += count


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    return folders


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[BoundProcess]:
    """Collect the processes that are started."""
    started: list[BoundProcess] = []

    class Noted(BoundProcess):
        def start(self) -> None:
            started.append(self)
            super().start()

    monkeypatch.setattr(children, "BoundProcess", Noted)
    return started


async def test_an_error_of_one_ends_all_and_is_told(
    monkeypatch: pytest.MonkeyPatch, folders: list[Path], started: list[BoundProcess]
) -> None:
    (port,) = reserve_ports(1)
    monkeypatch.setenv("BROKER_URL", f"kafka://127.0.0.1:{port}")
    told = "a process of the audit has ended with exit code 2: no broker answers at"
    with pytest.raises(AuditError, match=told):
        await AuditProcesses("app")(folders, Counted())
    assert [process.running for process in started] == [False, False]


async def test_one_that_is_killed_ends_all_and_is_told(
    folders: list[Path], started: list[BoundProcess]
) -> None:
    waiting = asyncio.create_task(AuditProcesses("app")(folders, Counted()))
    await asyncio.sleep(0)
    pid = started[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(AuditError, match="a process of the audit was ended by SIGKILL"):
        await waiting
    assert [process.running for process in started] == [False, False]


async def test_who_stops_waiting_ends_them(
    folders: list[Path], started: list[BoundProcess]
) -> None:
    waiting = asyncio.create_task(AuditProcesses("app")(folders, Counted()))
    await asyncio.sleep(0)
    assert [process.running for process in started] == [True, True]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [process.running for process in started] == [False, False]


def test_progress_is_left_in_the_folder(folders: list[Path]) -> None:
    progress = ShareProgress(folders[0])
    progress.begin("", 7)
    for count in (3, 4):
        progress.advance(count)
    assert sum(map(audit_processes._done, folders)) == 7


def test_each_process_has_a_core_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    assert [processes_for(mib << 20) for mib in (1, 64, 200, 384, 10_000)] == [1, 1, 3, 6, 6]
