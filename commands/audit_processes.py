"""Processes that recount the shares of an audit: the same command, with ``--share``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from auditing import AuditError
from embedded.process import BoundProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditing.parts import Progress

#: Seconds between two looks at the processes.
POLL_S = 0.25

_DONE, _LOG = "done", "audit.log"


class ShareProgress:
    """Leaves the number of recounted records in a share's folder."""

    def __init__(self, folder: Path) -> None:
        """Begin with none."""
        self._path = folder / _DONE
        self._count = 0

    def begin(self, what: str, total: int) -> None:
        """Do nothing: a share is one step."""

    def advance(self, count: int) -> None:
        """Add ``count`` records."""
        self._count += count
        self._path.write_text(f"{self._count}")


class AuditProcesses:
    """Runs a process for each share."""

    def __init__(self, app: str) -> None:
        """Run the command of ``app``, the argument of ``faust -A``."""
        self._app = app

    async def __call__(self, folders: Sequence[Path], progress: Progress) -> None:
        """Return when all shares are recounted.

        Raises:
            AuditError: one of them cannot be recounted.
        """
        processes: dict[Path, BoundProcess] = {}
        try:
            for folder in folders:
                processes[folder] = self._start(folder)
            reported, are_running = 0, True
            while are_running:
                await asyncio.sleep(POLL_S)
                are_running = any(process.running for process in processes.values())
                for folder, process in processes.items():
                    if process.exit_code not in {None, 0}:
                        raise AuditError(_last_line(folder / _LOG))
                done = max(reported, sum(map(_done, folders)))
                progress.advance(done - reported)
                reported = done
        finally:
            for process in processes.values():
                process.kill()

    def _start(self, folder: Path) -> BoundProcess:
        words = ["-m", "faust", "-A", self._app, "audit", "--share", str(folder)]
        path = [str(Path.cwd()), *filter(None, sys.path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
        process = BoundProcess([sys.executable, *words], output=folder / _LOG, env=environment)
        process.start()
        return process


def _done(folder: Path) -> int:
    try:
        # Empty while it is being written.
        return int((folder / _DONE).read_text() or 0)
    except FileNotFoundError:
        return 0


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    said = lines[-1].removeprefix("error: ") if lines else "nothing"
    return f"a process of the audit has ended: {said}"
