"""Recovery: the time until a worker is ready again, with its disk kept and with it lost.

Seconds are from the start of the process until ``/readyz`` reports it ready. The changelogs are in
the machine's page cache, because they were just written.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.backlog import send
from benchmarks.rig.figures import Row
from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.loads import make_load
from benchmarks.rig.offsets import offsets_of
from benchmarks.rig.worker import POLL_S, START_TIMEOUT_S, BenchError

if TYPE_CHECKING:
    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.worker import Worker

#: Maximum number of events that are sent before a worker is ended.
EVENTS = 50_000

_CATCH_UP_S = 120.0


class End(NamedTuple):
    """A way to end a worker."""

    signal: str
    events: str
    """Events sent before: all ``committed``, or some ``left``, partly processed."""


ENDS = [
    End(signal, events) for events in ("committed", "left") for signal in ("SIGTERM", "SIGKILL")
]


def run(bench: Bench) -> list[Row]:
    """Measure each size of state."""
    rows = []
    for users in bench.size.users:
        with bench.filled_rig(users) as rig:
            rows.append(losses(bench, rig, users))
            rows += restarts(bench, rig, users)
    return rows


def losses(bench: Bench, rig: Rig, users: int) -> Row:
    """Start workers with empty disks."""
    row = Row({"ended by": "SIGTERM", "events": "committed", "disk": "lost", "users": users})
    for number in range(bench.size.runs):
        worker = rig.worker(f"empty-{number}")
        figures = restore(worker)
        row.add(figures)
        worker.stop()
        shutil.rmtree(worker.data_dir)
        bench.tell(
            f"disk lost, {users:,} users, run {number + 1}: ready after {figures['ready s']:.1f} s,"
            f" {figures['restored records/s']:,.0f} records/s"
        )
    return row


class Look(NamedTuple):
    """Progress of a worker in restoring its tables."""

    asked_s: float
    answered_s: float
    records: float


def restore(worker: Worker) -> dict[str, float]:
    """Wait until a worker that was just started is ready; return how fast it restored its tables.

    The time is from the last check with nothing restored to the first check with everything
    restored. It is never too short, and too long by at most the time of two checks.
    """
    looks = [look(worker)]
    while not worker.is_ready():
        worker.usage()
        if time.monotonic() - worker.started > START_TIMEOUT_S:
            raise BenchError(f"the tables are not restored after {START_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)
        looks.append(look(worker))
    ready_s = time.monotonic() - worker.started
    looks.append(look(worker))
    worker.usage()
    records = looks[-1].records
    *_, before = takewhile(lambda look: not look.records, looks)
    after = next(look for look in looks if look.records == records)
    restoring_s = after.answered_s - before.asked_s
    return {
        "ready s": ready_s,
        "restoring s": restoring_s,
        "restored records": records,
        "restored records/s": records / restoring_s,
        "peak RSS MiB": worker.last.peak_rss / 2**20,
    }


def look(worker: Worker) -> Look:
    """Return the progress of a worker that may not listen yet."""
    asked_s = time.monotonic()
    try:
        records = worker.metric("reels_recovery_records_total")
    except OSError:
        records = 0.0
    return Look(asked_s, time.monotonic(), records)


def restarts(bench: Bench, rig: Rig, users: int) -> list[Row]:
    """End a worker and start it again on its disk; the ways to end it take turns."""
    rows = {
        how: Row({"ended by": how.signal, "events": how.events, "disk": "kept", "users": users})
        for how in (ENDS[-1:] if bench.size.brief else ENDS)
    }
    load = make_load("sessions", 4, users, FILLED_UNTIL_MS)
    worker = rig.worker()
    worker.wait_ready()
    for number in range(bench.size.runs):
        for how, row in rows.items():
            what = f"{how.signal}, events {how.events}, {users:,} users, run {number + 1}"
            send(bench, rig, load, min(EVENTS, bench.size.events), what)
            if how.events == "committed":
                asyncio.run(catch_up(rig))
            end_s = end(worker, how.signal)
            worker = rig.worker()
            ready_s = worker.wait_ready()
            row.add({"end s": end_s, "ready s": ready_s})
            bench.tell(f"{what}: ready after {ready_s:.1f} s")
    return list(rows.values())


async def catch_up(rig: Rig) -> None:
    """Wait until all sent events are committed."""
    async with offsets_of(rig.settings) as offsets:
        await offsets.wait_caught_up(_CATCH_UP_S)


def end(worker: Worker, signal: str) -> float:
    """Send a worker SIGTERM or SIGKILL, and return the seconds until it has ended."""
    begun = time.monotonic()
    if signal == "SIGKILL":
        worker.kill()
    else:
        worker.stop()
    return time.monotonic() - begun
