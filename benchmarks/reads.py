"""Reads: values per second over HTTP, single and in batches, idle and under full load.

The reader is a separate process that does almost nothing with answers (``http_reader``). Users are
drawn uniformly, and each had one session. Redis, if it is installed, holds the same packed values
and answers MGET. ``server us/value`` is processor time of the answering process, including its work
on the load.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from benchmarks.rig.figures import Row, percentile, percentiles
from benchmarks.rig.filling import FILLED_UNTIL_MS, Filling
from benchmarks.rig.http_reader import Reading
from benchmarks.rig.offsets import offsets_of
from benchmarks.rig.probes import Prober
from benchmarks.rig.processes import Usage
from benchmarks.rig.redis_server import is_installed, redis
from benchmarks.rig.steady_load import SteadyLoad
from benchmarks.rig.worker import BenchError, wait_shared
from tables.users import user_windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.steady_load import Sending
    from benchmarks.rig.worker import Worker

#: Users whose values are read.
USERS = 20_000

#: Events/s during the reads, on one worker and on two.
RATE, RATE_OF_TWO = 25_000, 10_000

#: Values/s read while freshness is measured, and by batches spread over two workers.
PACE, PACE_OF_TWO = 50_000.0, 20_000.0

#: Single reads/s, idle and during batches of cold keys.
PACE_OF_SINGLES = 200.0

#: Parts that can be measured alone.
PARTS = ("beside", "fresh", "single", "json", "arrow", "redis", "two", "cold")
_LONG = {"two", "cold"}

PROBES_PER_S = 16.0
#: Seconds of one reading, and seconds that the process beside it gets to start.
SECONDS = 8.0
_STARTS_S = 3.0
_TIMEOUT_S = 60.0
_BETWEEN_S = 30.0


def run(bench: Bench) -> list[Row]:
    """Measure all reads, or the selected parts, once per run."""
    measured = _Measured(bench)
    parts = [part for part in PARTS if part in (bench.size.parts or PARTS)]
    if bench.size.brief:
        parts = [part for part in parts if part not in _LONG]
    users = min(USERS, max(bench.size.users))
    if set(parts) - {"cold"}:
        with bench.filled_rig(users) as rig:
            _run_parts(measured, rig, users, parts)
    if "cold" in parts:
        users = max(bench.size.users)
        with bench.filled_rig(users) as rig:
            worker = rig.worker()
            worker.wait_ready()
            for _ in range(bench.size.runs):
                _cold(measured, rig, worker, users)
            worker.stop()
    return list(measured.rows.values())


class _Measured:
    """Rows by name, in order of arrival."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.seconds = min(SECONDS, bench.size.seconds)
        self.rows: dict[str, Row] = {}

    def add(self, name: str, figures: dict[str, float]) -> None:
        """Add a run's figures, and print some of them."""
        self.rows.setdefault(name, Row({"reads": name})).add(figures)
        some = ", ".join(f"{k} {v:,.2f}" for k, v in list(figures.items())[:3])
        self.bench.tell(f"{name}: {some}")


def _run_parts(measured: _Measured, rig: Rig, users: int, parts: Sequence[str]) -> None:
    bench, seconds, add = measured.bench, measured.seconds, measured.add
    rate = RATE if not bench.size.brief else min(bench.size.rates)
    loads = Loads(bench, rig, users)
    worker = rig.worker()
    worker.wait_ready()
    read = partial(Reading, [worker.port], users=users, seconds=seconds)
    batches = read("json", 100)
    idle = {
        "single": ("single, idle", read("single", 1)),
        "json": ("batches of 100, idle", batches),
        "arrow": ("batches of 1,000, Arrow, idle", read("arrow", 1000)),
    }
    for _ in range(bench.size.runs):
        if "beside" in parts:
            with loads.beside(rate, seconds) as sending:
                add(f"batches of 100, beside {rate:,} events/s", measure(rig, batches, [worker]))
                uvloop.run(finish(rig, sending))
        if "fresh" in parts:
            with loads.beside(rate, seconds) as sending:
                paced = replace(batches, keys_per_s=PACE)
                name = f"{PACE:,.0f} values/s by 100, beside {rate:,} events/s"
                add(name, uvloop.run(freshness(rig, worker, paced, sending)))
        for part, (name, reading) in idle.items():
            if part in parts:
                add(name, measure(rig, reading, [worker]))
        if "redis" in parts and is_installed():
            with redis(rig.folder / "redis", values_of(rig, users)) as (port, pid):
                reading = replace(batches, ports=[port], kind="redis")
                add("Redis MGET of 100, idle", measure(rig, reading, [pid]))
        elif "redis" in parts:
            bench.tell("skipping Redis: redis-server is not installed (Debian: redis-server)")
    if "two" in parts:
        second = rig.worker("b")
        second.wait_ready()
        both = [worker, second]
        wait_shared(both)
        reading = replace(batches, ports=[each.port for each in both], keys_per_s=PACE_OF_TWO)
        for _ in range(bench.size.runs):
            with loads.beside(RATE_OF_TWO, seconds) as sending:
                name = f"two workers, batches of 100, beside {RATE_OF_TWO:,} events/s"
                add(name, measure(rig, reading, both))
                uvloop.run(finish(rig, sending))
        second.stop()
    worker.stop()


def _cold(measured: _Measured, rig: Rig, worker: Worker, users: int) -> None:
    """Read single keys at a pace, alone and during batches of as many keys as are allowed.

    What delays these reads also delays processing, in the same event loop.
    """
    read = partial(Reading, [worker.port], users=users)
    paced = read("single", 1, seconds=measured.seconds, connections=4, keys_per_s=PACE_OF_SINGLES)
    measured.add(f"single at {PACE_OF_SINGLES:,.0f}/s, idle", measure(rig, paced, [worker]))
    large = read("json", 10_000, seconds=measured.seconds + _STARTS_S, connections=1)
    beside = rig.child("large", ["-m", "benchmarks.rig.http_reader", large.argument()])
    time.sleep(_STARTS_S / 2)
    name = f"single at {PACE_OF_SINGLES:,.0f}/s, beside batches of 10,000 keys on disk"
    measured.add(name, measure(rig, paced, [worker]))
    read_by_it = beside.result(large.seconds + _TIMEOUT_S)
    values = read_by_it["requests"] * large.keys
    measured.add(
        "those batches of 10,000 keys",
        {
            "values/s": values / read_by_it["seconds"],
            **{f"request ms p{q}": percentile(read_by_it["times"], q) for q in (50, 99)},
        },
    )


class Loads:
    """Loads of one rig, one after the other in event time."""

    def __init__(self, bench: Bench, rig: Rig, users: int) -> None:
        """Begin at the stream time of the filled state."""
        self._bench = bench
        self._rig = rig
        self._users = users
        self._start_ms = FILLED_UNTIL_MS
        self._made = 0

    @contextmanager
    def beside(self, rate: int, seconds: float) -> Iterator[Sending]:
        """Send ``rate`` events/s during a measurement of ``seconds``."""
        self._made += 1
        length_s = seconds + 2 * _STARTS_S
        load = SteadyLoad(
            *(f"reads-{self._made}", self._made, rate, self._users, self._start_ms, length_s),
            max_events_per_ms=math.inf,
        )
        self._start_ms += round(1000 * (length_s + _BETWEEN_S))
        with load.ready(self._rig, partial(self._bench.tell, "making the load ready")) as ready:
            sending = ready.send()
            uvloop.run(asyncio.sleep(_STARTS_S))
            yield sending


async def finish(rig: Rig, sending: Sending) -> None:
    """Wait until a load is sent and processed."""
    await sending.end()
    async with offsets_of(rig.settings) as offsets:
        await offsets.wait_caught_up(_TIMEOUT_S, 0.2)


def measure(rig: Rig, reading: Reading, servers: Sequence[Worker | int]) -> dict[str, float]:
    """Read, and return the figures; ``servers``: workers or process ids."""
    return uvloop.run(_measure(rig, reading, servers))


async def _measure(rig: Rig, reading: Reading, servers: Sequence[Worker | int]) -> dict[str, float]:
    def cpu_s() -> float:
        used = [Usage.of(s) if isinstance(s, int) else s.usage() for s in servers]
        return sum(each.cpu_s for each in used)

    before = cpu_s()
    command = ["-m", "benchmarks.rig.http_reader", reading.argument()]
    reader = rig.child("reader", command)
    read = await asyncio.to_thread(reader.result, reading.seconds + _TIMEOUT_S)
    used_s = cpu_s() - before
    if read["errors"]:
        raise BenchError(f"{read['errors']:,} of {read['requests']:,} reads were refused")
    values = read["requests"] * reading.keys
    return {
        "values/s": values / read["seconds"],
        **{f"request ms p{percent}": percentile(read["times"], percent) for percent in (50, 99)},
        "request ms max": max(read["times"]),
        "server us/value": 1e6 * used_s / values,
        "values/s a core of server": values / used_s,
    }


async def freshness(
    rig: Rig, worker: Worker, reading: Reading, sending: Sending
) -> dict[str, float]:
    """Read at a pace, and measure the age of answers at the same time."""
    prober = Prober(rig.settings, worker.url, sending.event_time_ms)
    probes = round(PROBES_PER_S * reading.seconds)
    figures, latencies = await asyncio.gather(
        _measure(rig, reading, [worker]), prober.run(reading.seconds, probes)
    )
    await finish(rig, sending)
    return {**figures, **percentiles(latencies.users, "user ms")}


def values_of(rig: Rig, users: int) -> dict[bytes, bytes]:
    """Return the packed values of the filled table of users."""
    found: dict[bytes, bytes] = {}
    for _, keys, values in Filling(users, 1).rows(user_windows(rig.settings)):
        found.update(
            (key, value) for key, value in zip(keys, values, strict=True) if b":" not in key
        )
    return found
