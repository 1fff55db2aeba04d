"""Processes that recount the shares of an audit: the same command, with ``--share``."""

from __future__ import annotations

import asyncio
import os
from shutil import disk_usage
from typing import TYPE_CHECKING

from auditing.errors import AuditError, FullFolderError
from commands.children import last_words, own_command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from auditing.parts import Progress
    from embedded.process import BoundProcess

#: Seconds between two looks at the processes.
POLL_S = 0.25

#: Bytes for counts that make another process worthwhile.
BYTES_PER_PROCESS = 64 << 20

#: Free bytes below which a folder counts as full.
FULL_BYTES = 1 << 20

_DONE, _LOG = "done", "audit.log"


def processes_for(memory: int) -> int:
    """Return how many processes may use this process's cores and ``memory`` bytes for counts."""
    # Cores of the machine that a container may not use do not count.
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min(cores, memory // BYTES_PER_PROCESS))


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
                    if not process.running and process.exit_code != 0:
                        # Then its last line is missing, too.
                        if (free := disk_usage(folder).free) < FULL_BYTES:
                            raise FullFolderError(f"{free >> 10} KiB are free")
                        ended = last_words(folder / _LOG, process.exit_code)
                        raise AuditError(f"a process of the audit {ended}")
                done = max(reported, sum(map(_done, folders)))
                progress.advance(done - reported)
                reported = done
        finally:
            for process in processes.values():
                process.kill()

    def _start(self, folder: Path) -> BoundProcess:
        process = own_command(self._app, ["audit", "--share", str(folder)], folder / _LOG)
        try:
            process.start()
        except OSError as exc:
            raise AuditError(f"a process of the audit cannot be started: {exc}") from exc
        return process


def _done(folder: Path) -> int:
    try:
        # Empty while it is being written.
        return int((folder / _DONE).read_text() or 0)
    except FileNotFoundError:
        return 0
