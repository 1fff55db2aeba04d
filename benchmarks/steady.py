"""Steady load: age of answers and cost of events, at several rates until overload.

A separate process sends the load, which is prepared in advance. Probes measure the time from
sending an event until an HTTP answer counts it. Generator, broker, worker and probes share the
machine. Sessions take as long as in real life, with a median of 8 s per view. The figures ``first``
are of answers during the warm-up.

Then two workers share a load, and videos turn viral: the time until both workers list them.
"""

from __future__ import annotations

import asyncio
import math
import time
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from benchmarks.rig.figures import Row, percentile, percentiles
from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.offsets import offsets_of
from benchmarks.rig.probes import Prober
from benchmarks.rig.processes import Usage
from benchmarks.rig.steady_load import SteadyLoad
from benchmarks.rig.viral_probes import ViralProber
from benchmarks.rig.worker import wait_shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.steady_load import Sending
    from benchmarks.rig.worker import Worker

#: Seconds of the load after the probes' last event.
COOL_DOWN_S = 2.0

PROBES_PER_S = 4.0

_DRAIN_TIMEOUT_S = 120.0
_SAMPLE_S = 0.5
#: Events per second that two workers share, but no more than the lowest measured rate.
_SHARED_RATE = 10_000
#: Videos that turn viral per second.
_VIRAL_PER_S = 1.0
#: Seconds of event time between two loads.
BETWEEN_S = 30.0


def run(bench: Bench) -> list[Row]:
    """Measure each rate on the largest state, on one worker; the rates take turns."""
    users = max(bench.size.users)
    of_rate = {rate: Row({"events/s": rate, "users": users}) for rate in bench.size.rates}
    length_s = bench.size.warm_up_s + bench.size.seconds + COOL_DOWN_S
    start_ms = FILLED_UNTIL_MS
    with bench.filled_rig(users) as rig:
        worker = rig.worker()
        worker.wait_ready()
        for number in range(bench.size.runs):
            for rate, row in of_rate.items():
                name = f"{rate:,} events/s, run {number + 1}"
                seed = rate + number
                load = SteadyLoad(
                    *(f"{rate}-{number}", seed, rate, users, start_ms, length_s),
                    max_events_per_ms=math.inf,
                )
                row.add(measure(bench, rig, [worker], load, name))
                bench.tell(f"{name}: users p99 {row.runs['user ms p99'][-1]:.0f} ms")
                start_ms += round(1000 * (length_s + BETWEEN_S))
        viral = _run_viral(bench, rig, [worker, rig.worker("b")], start_ms)
    return [*of_rate.values(), viral]


def _run_viral(bench: Bench, rig: Rig, workers: Sequence[Worker], start_ms: int) -> Row:
    """Measure the list of viral videos on two workers, from event time ``start_ms``."""
    wait_shared(workers)
    users, rate = max(bench.size.users), min(_SHARED_RATE, *bench.size.rates)
    row = Row({"events/s": rate, "users": users, "workers": len(workers)})
    length_s = bench.size.warm_up_s + bench.size.seconds + COOL_DOWN_S
    for number in range(bench.size.runs):
        name = f"videos turn viral, run {number + 1}"
        load = SteadyLoad(
            *(f"viral-{number}", number, rate, users, start_ms, length_s),
            max_events_per_ms=math.inf,
        )
        with load.ready(rig, partial(bench.tell, f"{name}: making the load ready")) as ready:
            bench.tell(f"{name}: for {bench.size.seconds:.0f} s")
            row.add(uvloop.run(_watch_list(bench, rig, workers, ready.send())))
        bench.tell(f"{name}: p99 {row.runs['listed ms p99'][-1]:.0f} ms")
        start_ms += round(1000 * (length_s + BETWEEN_S))
    return row


async def _watch_list(
    bench: Bench, rig: Rig, workers: Sequence[Worker], sending: Sending
) -> dict[str, float]:
    seconds = bench.size.seconds
    await asyncio.sleep(bench.size.warm_up_s)
    prober = ViralProber(rig.settings, [each.url for each in workers], sending.event_time_ms)
    times_ms = await prober.run(seconds, round(_VIRAL_PER_S * seconds))
    await sending.end()
    async with offsets_of(rig.settings) as offsets:
        await offsets.wait_caught_up(_DRAIN_TIMEOUT_S, _SAMPLE_S)
    return percentiles(times_ms, "listed ms")


def measure(
    bench: Bench, rig: Rig, workers: Sequence[Worker], load: SteadyLoad, name: str
) -> dict[str, float]:
    """Send ``load``, watch it after its warm-up, and return the figures.

    Probes ask the first of the workers. The processor time of all of them is added up.
    """
    with load.ready(rig, partial(bench.tell, f"{name}: making the load ready")) as ready:
        bench.tell(f"{name}: for {bench.size.seconds:.0f} s")
        return uvloop.run(_watch(bench, rig, workers, ready.send()))


async def _watch(
    bench: Bench, rig: Rig, workers: Sequence[Worker], sending: Sending
) -> dict[str, float]:
    def cpu() -> dict[str, float]:
        return {
            "worker": sum(worker.usage().cpu_s for worker in workers),
            "broker": Usage.of(rig.broker_pid).cpu_s,
            "sender": sending.process.usage().cpu_s,
            "probes": time.process_time(),
        }

    seconds, warm_up_s = bench.size.seconds, bench.size.warm_up_s
    async with offsets_of(rig.settings) as offsets:
        prober = Prober(rig.settings, workers[0].url, sending.event_time_ms)
        # As a task, so that late probes of the warm-up do not delay the measurement.
        warm_up = asyncio.create_task(prober.run(warm_up_s, round(PROBES_PER_S * warm_up_s)))
        await asyncio.sleep(warm_up_s)
        before, done, begun = cpu(), await offsets.committed(), time.monotonic()
        probing = asyncio.create_task(prober.run(seconds, round(PROBES_PER_S * seconds)))
        lags = []
        while time.monotonic() < begun + seconds:
            await asyncio.sleep(_SAMPLE_S)
            lags.append(await offsets.lag())
        elapsed_s = time.monotonic() - begun
        used = {name: s - before[name] for name, s in cpu().items()}
        events = await offsets.committed() - done
        first, latencies = await warm_up, await probing
        sent = await sending.end()
        # Leave nothing of this load to the next one.
        await offsets.wait_caught_up(_DRAIN_TIMEOUT_S, _SAMPLE_S)
    return {
        "worked off events/s": events / elapsed_s,
        **percentiles(latencies.users, "user ms"),
        **percentiles(latencies.videos, "video ms"),
        "first user ms p99": percentile(first.users, 99),
        "first video ms p99": percentile(first.videos, 99),
        "lag events p50": percentile(lags, 50),
        "lag events max": max(lags),
        **{f"{name} % of a core": 100 * s / elapsed_s for name, s in used.items()},
        "worker us/event": used["worker"] / max(events, 1) * 1e6,
        "sender late ms": 1000 * sent.late_s,
    }
