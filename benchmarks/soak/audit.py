"""The audit after a soak, by the program's own command."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import msgspec

from benchmarks.rig.snapshots import cache_folder
from benchmarks.rig.worker import BenchError
from commands.shapes import Audit

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig

_TOLD_EVERY_S = 60.0
_SHOWN = 200
_LINES = 10


def audit(bench: Bench, rig: Rig) -> Audit:
    """Compare the tables with the input. Raises BenchError if that is impossible."""
    command = ["-m", "faust", "-A", "app", "--json", "audit", "--show", str(_SHOWN)]
    child = rig.child("audit", command, variables={"TMPDIR": str(rig.folder)})
    bench.tell("the audit recounts the input")
    minutes = 0
    while not child.wait(_TOLD_EVERY_S):
        minutes += 1
        bench.tell(f"the audit recounts the input, for {minutes} min")
    lines = child.text().splitlines()
    for line in lines:
        if line.startswith("{"):
            return msgspec.json.decode(line, type=Audit)
    raise BenchError("\n".join(["the audit has failed:", *lines[-_LINES:]]))


def keep(rig: Rig, name: str) -> Path:
    """Hard-link the files of a rig into a folder that outlives it, and return that folder."""
    folder = cache_folder().parent / name
    subprocess.run(["cp", "-al", str(rig.folder), str(folder)], check=True)  # noqa: S603, S607
    return folder
