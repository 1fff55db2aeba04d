"""Spike: lag and answer times after a million events at once on top of a steady load.

A worker keeps up with a steady load, which continues for at least half a minute after the burst.
Another process sends the burst within two seconds. The worker has caught up when its lag is no
larger than the largest lag in the ten seconds before the burst. The cost of an event is measured in
these ten seconds, and from the burst until the worker has caught up.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from benchmarks.backlog import Point
from benchmarks.rig.figures import Row, percentiles
from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.offsets import offsets_of
from benchmarks.rig.probes import Prober
from benchmarks.rig.steady_load import SteadyLoad
from benchmarks.rig.worker import BenchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from benchmarks.rig.bench import Bench, Size
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.offsets import Offsets
    from benchmarks.rig.probes import Latencies
    from benchmarks.rig.steady_load import ReadyLoad
    from benchmarks.rig.worker import Worker

#: Events per second of the steady load, but no more than the highest measured rate.
RATE = 50_000

#: Events of a burst, but no more than those of a measured backlog.
BURST = 1_000_000

BURST_S = 2.0

#: Seconds measured before a burst, and minimum seconds from a burst to the next run.
BEFORE_S, AFTER_S = 10.0, 30.0

#: Seconds and rate of the probes of answers, from the start of the burst.
PROBED_S, PROBES_PER_S = 5.0, 4.0

_LIMIT_S = 300.0
_POLL_S = 0.1


def run(bench: Bench) -> list[Row]:
    """Measure one burst per run, all on the same steady load."""
    size = bench.size
    users, rate = min(size.users), min(RATE, max(size.rates))
    events = min(BURST, size.events)
    row = Row({"events at once": events, "upon events/s": rate, "users": users})
    burst_rate = round(events / BURST_S)
    loads = [
        SteadyLoad(f"burst-{number}", number, burst_rate, users, _burst_ms(size, number), BURST_S)
        for number in range(size.runs)
    ]
    length_s = size.warm_up_s + size.runs * (BEFORE_S + AFTER_S)
    loads.append(SteadyLoad("steady", size.runs, rate, users, FILLED_UNTIL_MS, length_s))
    with bench.filled_rig(users) as rig, ExitStack() as stack:
        *bursts, steady = [stack.enter_context(_ready(bench, rig, load)) for load in loads]
        worker = rig.worker()
        worker.wait_ready()
        for figures in uvloop.run(_measure(bench, rig, worker, steady, bursts)):
            row.add(figures)
        worker.stop()
    return [row]


def _burst_ms(size: Size, number: int) -> int:
    """Return the event time at which a burst begins: that of the steady load by then."""
    begins_s = size.warm_up_s + number * (BEFORE_S + AFTER_S) + BEFORE_S
    return FILLED_UNTIL_MS + round(1000 * begins_s)


def _ready(bench: Bench, rig: Rig, load: SteadyLoad) -> AbstractContextManager[ReadyLoad]:
    return load.ready(rig, partial(bench.tell, f"{load.name}: making the load ready"))


async def _measure(
    bench: Bench, rig: Rig, worker: Worker, steady: ReadyLoad, bursts: Sequence[ReadyLoad]
) -> list[dict[str, float]]:
    """Send the steady load, and each burst at its time."""
    runs = []
    async with offsets_of(rig.settings) as offsets:
        sending = steady.send()
        prober = Prober(rig.settings, worker.url, sending.event_time_ms)
        await asyncio.sleep(bench.size.warm_up_s)
        for number, burst in enumerate(bursts):
            begun = time.monotonic()
            runs.append(await Spike(rig, worker, offsets, prober).measure(burst))
            bench.tell(f"run {number + 1}: caught up after {runs[-1]['caught up after s']:.1f} s")
            await asyncio.sleep(max(0.0, begun + BEFORE_S + AFTER_S - time.monotonic()))
        await sending.end()
    return runs


class Spike:
    """One burst on top of a running steady load."""

    def __init__(self, rig: Rig, worker: Worker, offsets: Offsets, prober: Prober) -> None:
        """Watch ``worker``, which must catch up."""
        self._rig = rig
        self._worker = worker
        self._offsets = offsets
        self._prober = prober

    async def measure(self, burst: ReadyLoad) -> dict[str, float]:
        """Watch for ten seconds, send ``burst``, wait for the worker to catch up; return figures.

        Raises BenchError if it does not catch up.
        """
        before = await self._point()
        usual = await self._most_behind_before()
        begun = await self._point()
        sending = burst.send()
        ending = asyncio.create_task(sending.end())
        most, probing = 0, None
        deadline = time.monotonic() + _LIMIT_S
        while (lag := await self._offsets.lag()) > usual or not ending.done():
            most = max(most, lag)
            if probing is None and lag > usual:  # the sender takes a moment to start
                probing = asyncio.create_task(self._probe())
            if time.monotonic() > deadline:
                raise BenchError(f"{lag:,} events behind {_LIMIT_S:.0f} s after the burst")
            await asyncio.sleep(_POLL_S)
        caught_up, ended = time.time(), await self._point()
        sent, latencies = await ending, await (probing or self._probe())
        steady, catching_up = begun.since(before), ended.since(begun)
        return {
            "sent within s": sent.seconds,
            "most behind": most,
            "caught up after s": caught_up - (sent.ended - sent.seconds),
            "catching up events/s": catching_up["events/s"],
            "catching up us/event": catching_up["worker us/event"],
            "steady us/event": steady["worker us/event"],
            "steady over catching up": steady["worker us/event"] / catching_up["worker us/event"],
            **percentiles(latencies.users, "user ms"),
            **percentiles(latencies.videos, "video ms"),
        }

    async def _probe(self) -> Latencies:
        return await self._prober.run(PROBED_S, round(PROBES_PER_S * PROBED_S))

    async def _point(self) -> Point:
        return Point.here(await self._offsets.committed(), [self._worker], self._rig.broker_pid)

    async def _most_behind_before(self) -> int:
        until = time.monotonic() + BEFORE_S
        most = 0
        while time.monotonic() < until:
            most = max(most, await self._offsets.lag())
            await asyncio.sleep(_POLL_S)
        return most
