"""Steady load: how old answers are, and what it costs, at several rates until it is too much.

The load comes from a process of its own, made ready beforehand; probes measure how long an event
takes from being sent to being in the answer over HTTP. Generator, broker, worker and probes share
the machine.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import uvloop

from benchmarks.rig.figures import Row, percentile, percentiles
from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.loads import VIDEOS
from benchmarks.rig.offsets import offsets_of
from benchmarks.rig.probes import Prober
from benchmarks.rig.processes import Usage
from benchmarks.rig.spool import Spool
from benchmarks.rig.worker import BenchError
from loadgen import Workload

if TYPE_CHECKING:
    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.worker import Child, Worker

#: A broker that has just started compiles itself for half a minute, and takes half a core for it:
#: not what a load is like that goes on. Answers during it are figures of their own, ``first``.
WARM_UP_S = 30.0
#: Of the load, after the probes' last event.
COOL_DOWN_S = 2.0

PROBES_PER_S = 4.0

_DRAIN_TIMEOUT_S = 120.0
_SAMPLE_S = 0.5


def run(bench: Bench) -> list[Row]:
    """Measure each rate on the largest state, one after the other, on one worker."""
    users = max(bench.size.users)
    rows = []
    with bench.filled_rig(users) as rig:
        worker = rig.worker()
        worker.wait_ready()
        start_ms = FILLED_UNTIL_MS
        for rate in bench.size.rates:
            steady = Steady(bench, rig, worker, rate, users, start_ms)
            row = Row({"events/s": rate, "users": users})
            row.add(steady.measure(bench.size.seconds))
            rows.append(row)
            bench.tell(f"{rate:,} events/s: users p99 {row.median('user ms p99'):.0f} ms")
            start_ms += round(1000 * (bench.size.seconds + 60))
        worker.stop()
    return rows


class Steady:
    """One steady load."""

    def __init__(
        self, bench: Bench, rig: Rig, worker: Worker, rate: int, users: int, start_ms: int
    ) -> None:
        """Describe it; event time begins at ``start_ms``."""
        self._bench = bench
        self._rig = rig
        self._worker = worker
        self._rate = rate
        self._start_ms = start_ms
        self._begun = 0.0
        self._load = Workload(rate, users, VIDEOS, start_ms=start_ms, ms_per_event=1000 / rate)

    def measure(self, seconds: float) -> dict[str, float]:
        """Send for ``seconds``, after a warm-up, and return the figures."""
        name = f"{self._rate:,} events/s"

        def progress(part: float) -> None:
            self._bench.tell(f"{name}: making the load ready", part)

        spool = Spool(self._rig.folder / f"load-{self._rate}")
        length_s = WARM_UP_S + seconds + COOL_DOWN_S
        spool.write(self._load, self._rate, length_s, self._rig.settings.partitions, progress)
        try:
            self._bench.tell(f"{name}: for {seconds:.0f} s")
            settings = self._rig.settings
            arguments = [self._rig.bootstrap, settings.events_topic, str(spool.path)]
            sender = self._rig.child(
                f"sender-{self._rate}", ["-m", "benchmarks.rig.sender", *arguments]
            )
            self._begun = time.monotonic()
            return uvloop.run(self._watch(sender, seconds))
        finally:
            spool.delete()

    def _event_time_ms(self) -> int:
        return self._start_ms + round(1000 * (time.monotonic() - self._begun))

    async def _watch(self, sender: Child, seconds: float) -> dict[str, float]:
        async with offsets_of(self._rig.settings) as offsets:
            prober = Prober(self._rig.settings, self._worker.url, self._event_time_ms)
            # Those that are late do not hold up what follows.
            warm_up = asyncio.create_task(prober.run(WARM_UP_S, round(PROBES_PER_S * WARM_UP_S)))
            await asyncio.sleep(WARM_UP_S)
            cpu, done, begun = self._cpu(sender), await offsets.committed(), time.monotonic()
            probing = asyncio.create_task(prober.run(seconds, round(PROBES_PER_S * seconds)))
            lags = []
            while time.monotonic() < begun + seconds:
                await asyncio.sleep(_SAMPLE_S)
                lags.append(await offsets.lag())
            elapsed_s = time.monotonic() - begun
            used = {name: s - cpu[name] for name, s in self._cpu(sender).items()}
            events = await offsets.committed() - done
            first, latencies = await warm_up, await probing
            if not await asyncio.to_thread(sender.wait, _DRAIN_TIMEOUT_S):
                raise BenchError("the sender does not end")
            # Nothing is left of this load for the next.
            await offsets.wait_caught_up(_DRAIN_TIMEOUT_S, _SAMPLE_S)
        late_s = json.loads(sender.output().splitlines()[-1])["late_s"]
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
            "sender late ms": 1000 * late_s,
        }

    def _cpu(self, sender: Child) -> dict[str, float]:
        return {
            "worker": self._worker.usage().cpu_s,
            "broker": Usage.of(self._rig.broker_pid).cpu_s,
            "sender": sender.usage().cpu_s,
            "probes": time.process_time(),
        }
