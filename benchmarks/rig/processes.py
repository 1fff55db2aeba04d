"""Processor time and memory of a process (by Linux's /proc), and disk space of a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """Usage of one process, with all its threads, since its start."""

    cpu_s: float
    """Seconds of processor time, kernel time included."""
    rss: int
    """Current memory in bytes."""
    peak_rss: int
    """Peak memory in bytes."""

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Return the usage of the process ``pid``. Raises OSError if there is none."""
        cpu_s = parse_cpu_s(Path(f"/proc/{pid}/stat").read_text())
        status = Path(f"/proc/{pid}/status").read_text()
        return cls(cpu_s, _kib(status, "VmRSS") << 10, _kib(status, "VmHWM") << 10)


def parse_cpu_s(stat: str) -> float:
    """Return the seconds of processor time in the text of ``/proc/PID/stat``; see proc(5)."""
    # The program's name, in parentheses, may contain spaces and parentheses.
    fields = stat.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _kib(status: str, name: str) -> int:
    for line in status.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def folder_bytes(folder: Path) -> int:
    """Return the disk space of the files below ``folder``, in bytes."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:  # removed by a compaction
            continue
    return total
