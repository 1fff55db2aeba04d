"""Spike: a million events at once upon a steady load: how far behind, for how long, and answers.

A worker keeps up with a steady load when the burst comes, which another process sends within two
seconds; the steady load goes on, for half a minute at least. The worker has caught up when it is
no further behind than at some moment of the ten seconds before the burst. What an event costs in
these, and from the burst until then, is measured in the same run.
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

#: Events a second of the steady load: this, or the highest rate that is measured if that is less.
RATE = 50_000

#: Events of a burst, or those of a backlog that is measured if they are fewer.
BURST = 1_000_000

BURST_S = 2.0

#: Seconds that are measured before a burst, and that it has until the next run, at least.
BEFORE_S, AFTER_S = 10.0, 30.0

#: Answers are asked for from when the burst begins.
PROBED_S, PROBES_PER_S = 5.0, 4.0

_LIMIT_S = 300.0
_POLL_S = 0.1


def run(bench: Bench) -> list[Row]:
    """Measure one burst a run, all upon the same steady load."""
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
    """Return when a burst begins in event time: where the steady load is by then."""
    begins_s = size.warm_up_s + number * (BEFORE_S + AFTER_S) + BEFORE_S
    return FILLED_UNTIL_MS + round(1000 * begins_s)


def _ready(bench: Bench, rig: Rig, load: SteadyLoad) -> AbstractContextManager[ReadyLoad]:
    return load.ready(rig, partial(bench.tell, f"{load.name}: making the load ready"))


async def _measure(
    bench: Bench, rig: Rig, worker: Worker, steady: ReadyLoad, bursts: Sequence[ReadyLoad]
) -> list[dict[str, float]]:
    """Send the steady load, and each burst upon it when its time has come."""
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
    """One burst upon a steady load that is under way."""

    def __init__(self, rig: Rig, worker: Worker, offsets: Offsets, prober: Prober) -> None:
        """Watch ``worker``, which is to catch up."""
        self._rig = rig
        self._worker = worker
        self._offsets = offsets
        self._prober = prober

    async def measure(self, burst: ReadyLoad) -> dict[str, float]:
        """Look for a while, send ``burst``, watch the worker catch up; return the figures.

        Raises BenchError when it does not.
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
