"""Spike: a million events at once: how far behind the worker falls, and for how long.

They are sent as fast as it goes to a worker that has caught up with all before; probes ask
meanwhile. Catching up is measured from when the last of them is sent.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from benchmarks.rig.figures import Row, percentiles
from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.loads import make_load, produce
from benchmarks.rig.offsets import offsets_of
from benchmarks.rig.probes import Prober

if TYPE_CHECKING:
    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.worker import Worker

_LIMIT_S = 300.0
_POLL_S = 0.1
_PROBES_PER_S = 2.0
_PROBED_S = 10.0


def run(bench: Bench) -> list[Row]:
    """Measure one spike a run."""
    users, events = min(bench.size.users), bench.size.events
    row = Row({"events at once": events, "users": users})
    with bench.filled_rig(users) as rig:
        worker = rig.worker()
        worker.wait_ready()
        for number in range(bench.size.runs):
            bench.tell(f"run {number + 1}")
            row.add(asyncio.run(spike(rig, worker, number, users, events)))
        worker.stop()
    return [row]


async def spike(rig: Rig, worker: Worker, number: int, users: int, events: int) -> dict[str, float]:
    """Send ``events`` at once to a worker that is at work, and watch it catch up."""
    start_ms = FILLED_UNTIL_MS + 600_000 * number
    load = make_load("sessions", 10 + number, users, start_ms)
    prober = Prober(rig.settings, worker.url, lambda: start_ms)
    async with offsets_of(rig.settings) as offsets:
        begun = time.monotonic()
        sending = asyncio.create_task(produce(rig.settings, load, events))
        probing = asyncio.create_task(prober.run(_PROBED_S, round(_PROBED_S * _PROBES_PER_S)))
        most = 0
        while not sending.done():
            most = max(most, await offsets.lag())
            await asyncio.sleep(_POLL_S)
        await sending
        sent_s = time.monotonic() - begun
        used, left = worker.usage().cpu_s, await offsets.lag()
        await offsets.wait_caught_up(_LIMIT_S, _POLL_S)
        caught_up_s = time.monotonic() - begun
        used = worker.usage().cpu_s - used
        latencies = await probing
    return {
        "sent within s": sent_s,
        "most behind": most,
        "caught up after s": caught_up_s,
        "catching up events/s": left / (caught_up_s - sent_s),
        "catching up us/event": used / max(left, 1) * 1e6,
        **percentiles(latencies.users, "user ms"),
    }
