"""What a process has used: processor time, memory, disk (Linux's /proc)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """Of one process, all its threads, since its start."""

    cpu_s: float
    """Seconds of processor time, in the kernel on its behalf included."""
    rss: int
    """Bytes of memory now."""
    peak_rss: int
    """The most bytes of memory so far."""

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Ask for the process ``pid``. Raises OSError when there is none."""
        cpu_s = parse_cpu_s(Path(f"/proc/{pid}/stat").read_text())
        status = Path(f"/proc/{pid}/status").read_text()
        return cls(cpu_s, _kib(status, "VmRSS") << 10, _kib(status, "VmHWM") << 10)


def parse_cpu_s(stat: str) -> float:
    """Return the seconds of processor time in the text of ``/proc/PID/stat``, as proc(5) has it."""
    # The program's name, in parentheses, may hold anything: spaces and parentheses, too.
    fields = stat.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _kib(status: str, name: str) -> int:
    for line in status.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def folder_bytes(folder: Path) -> int:
    """Return what the files below ``folder`` take on the disk."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:  # compacted away meanwhile
            continue
    return total
