"""Memory: the memory and disk space of one worker with the largest number of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.backlog import send, work_off
from benchmarks.rig.figures import Row
from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.loads import make_load
from benchmarks.rig.processes import folder_bytes
from tables.users import NAME as USERS

if TYPE_CHECKING:
    from benchmarks.rig.bench import Bench


def run(bench: Bench) -> list[Row]:
    """Process backlogs of uniform users, the hardest for memory; measure after each."""
    users = max(bench.size.users)
    row = Row({"users": users, "load": "uniform"})
    with bench.filled_rig(users) as rig:
        load = make_load("uniform", 2, users, FILLED_UNTIL_MS)
        for number in range(bench.size.runs):
            what = f"run {number + 1}"
            send(bench, rig, load, bench.size.events, what)
            figures = work_off(bench, rig, what)
            tables = folder_bytes(rig.folder / "worker-a")
            topic = rig.changelog(USERS)
            changelog = sum(map(folder_bytes, (rig.folder / "kafka" / "kafka").glob(f"{topic}-*")))
            row.add(
                {
                    "peak RSS MiB": figures["peak RSS MiB"],
                    "tables on disk MiB": tables / 2**20,
                    "changelog MiB": changelog / 2**20,
                    "disk bytes/user": tables / users,
                    "changelog bytes/user": changelog / users,
                }
            )
    return [row]
