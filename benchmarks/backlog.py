"""Backlog: how fast one worker processes a backlog, exactly once.

The state is filled, events are sent while no worker runs, and the worker starts. The time is from
the first committed event to the last; the case ``recovery`` measures the start.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.rig.figures import Row
from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.loads import make_load, produce
from benchmarks.rig.offsets import offsets_of
from benchmarks.rig.processes import Usage
from benchmarks.rig.worker import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.loads import Load
    from benchmarks.rig.worker import Program

LOADS = ("sessions", "uniform")

_POLL_S = 0.05
_LIMIT_S = 600.0


def run(bench: Bench) -> list[Row]:
    """Measure each load on each size of state; the loads take turns."""
    rows: list[Row] = []
    for users in bench.size.users:
        with bench.filled_rig(users) as rig:
            loads = {kind: make_load(kind, 1, users, FILLED_UNTIL_MS) for kind in LOADS}
            of_load = {kind: Row({"load": kind, "users": users}) for kind in LOADS}
            for number in range(bench.size.runs):
                for kind, load in loads.items():
                    what = f"{kind}, {users:,} users, run {number + 1}"
                    send(bench, rig, load, bench.size.events, what)
                    of_load[kind].add(work_off(bench, rig, what))
            rows += of_load.values()
    return rows


def send(bench: Bench, rig: Rig, load: Load, events: int, what: str) -> None:
    """Send ``events`` events; no worker runs yet."""
    progress = partial(bench.tell, f"{what}: sending")
    asyncio.run(produce(rig.settings, load, events, progress))


def work_off(bench: Bench, rig: Rig, what: str, names: Sequence[str] = ("a",)) -> dict[str, float]:
    """Start the workers ``names`` on the backlog, and stop them when it is processed.

    Returns:
        events/s; microseconds of processor time per event, of workers and broker; memory.
    """
    progress = partial(bench.tell, f"{what}: processing")
    workers = [rig.worker(name) for name in names]
    try:
        figures = asyncio.run(follow(rig, workers, progress))
    finally:
        for worker in workers:
            worker.stop()
    bench.tell(f"{what}: {figures['events/s']:,.0f} events/s")
    return figures


async def follow(
    rig: Rig, workers: Sequence[Program], progress: Callable[[float], None]
) -> dict[str, float]:
    """Watch the group's offsets until all events are committed; return the figures."""
    async with offsets_of(rig.settings) as offsets:
        total = await offsets.ends()
        before = await offsets.committed()
        deadline = time.monotonic() + _LIMIT_S
        begun: Point | None = None
        while time.monotonic() < deadline:
            now = Point.here(await offsets.committed(), workers, rig.broker_pid)
            if begun is None and now.done > before:
                begun = now
            if begun is not None:
                progress((now.done - before) / (total - before))
                if now.done >= total > begun.done:
                    peak = max(worker.last.peak_rss for worker in workers)
                    return {**now.since(begun), "peak RSS MiB": peak / 2**20}
                if begun.done >= total:
                    raise BenchError("the backlog is too small to be measured")
            await asyncio.sleep(_POLL_S)
    raise BenchError(f"the backlog is not processed after {_LIMIT_S:.0f} s")


class Point:
    """Progress of workers and broker at one moment."""

    def __init__(self, done: int, at_s: float, workers_s: float, broker_s: float) -> None:
        """Record ``done`` committed events, seconds on the clock, and processor seconds."""
        self.done = done
        self._at_s = at_s
        self._workers_s = workers_s
        self._broker_s = broker_s

    @classmethod
    def here(cls, done: int, workers: Sequence[Program], broker: int) -> Point:
        """Return the point of ``workers`` and process ``broker`` at ``done`` committed events."""
        workers_s = sum(worker.usage().cpu_s for worker in workers)
        return cls(done, time.monotonic(), workers_s, Usage.of(broker).cpu_s)

    def since(self, begun: Point) -> dict[str, float]:
        """Return events/s, and microseconds of processor time per event, since ``begun``."""
        events = self.done - begun.done
        return {
            "events/s": events / (self._at_s - begun._at_s),
            "worker us/event": (self._workers_s - begun._workers_s) / events * 1e6,
            "broker us/event": (self._broker_s - begun._broker_s) / events * 1e6,
        }
