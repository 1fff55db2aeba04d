"""The course of a soak: load, reads, probes and samples at the same time, a restart and a kill."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import uvloop

from benchmarks.rig.figures import percentiles
from benchmarks.rig.http_reader import Reading
from benchmarks.rig.loads import send_marks
from benchmarks.rig.offsets import offsets_of
from benchmarks.rig.probes import Prober
from benchmarks.rig.processes import Usage, folder_bytes
from benchmarks.rig.worker import START_TIMEOUT_S, BenchError, wait_shared
from benchmarks.soak.fleet import Fleet
from benchmarks.soak.samples import Sample, figures

if TYPE_CHECKING:
    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.offsets import Offsets
    from benchmarks.rig.worker import Child, Worker
    from benchmarks.soak.plan import Plan
    from commands.progress import ProgressBar

PROBES_PER_S = 4.0
#: Users read per second, in batches; half of them are cold.
READS_PER_S, READ_AT_ONCE = 2000.0, 100

_DRAIN_TIMEOUT_S = 600.0
_POLL_S = 0.5


class Course:
    """One run on a rig with the filled state."""

    def __init__(self, bench: Bench, rig: Rig, plan: Plan, progress: ProgressBar) -> None:
        """Begin without samples."""
        self._bench = bench
        self._rig = rig
        self._plan = plan
        self._progress = progress
        self._fleet = Fleet(rig)
        self._samples: list[Sample] = []
        self._user_ms: list[list[float]] = [[] for _ in range(plan.minutes)]
        self.reads: dict[str, float] = {}
        """Figures of the reads beside the load."""

    def minutes(self) -> list[dict[str, float]]:
        """Return the figures of each minute."""
        return [self._between(n, n + 1) for n in range(self._plan.minutes)]

    def parts(self) -> list[dict[str, float]]:
        """Return the figures of each part."""
        of_part = self._plan.minutes_per_part
        return [self._between(n, n + of_part) for n in range(0, self._plan.minutes, of_part)]

    def whole(self) -> dict[str, float]:
        """Return the figures of the whole run."""
        return self._between(0, self._plan.minutes)

    def _between(self, first: int, end: int) -> dict[str, float]:
        """Return the figures of the minutes from ``first`` to before ``end``."""
        of_minute = self._plan.samples_per_minute
        user_ms = [ms for minute in self._user_ms[first:end] for ms in minute]
        return figures(self._samples[first * of_minute : end * of_minute + 1], user_ms)

    def run(self) -> None:
        """Run from the start of the workers until all events are committed. Raises BenchError."""
        workers = [self._fleet.start(name) for name in "ab"]
        self._bench.tell("two workers start; one restores its tables")
        wait_shared(workers)
        uvloop.run(self._run(workers[0]))

    async def _run(self, stays: Worker) -> None:
        """Send the load; ``stays``: the worker that answers reads and probes."""
        rig, plan, load = self._rig, self._plan, self._plan.load()
        async with offsets_of(rig.settings) as offsets:
            # Event time begins in all partitions at once, whatever event comes first.
            await send_marks(rig.settings, "begin", load.start_ms)
            await offsets.wait_caught_up(_DRAIN_TIMEOUT_S, _POLL_S)
            sender = rig.child("load", ["-m", "benchmarks.rig.live_load", load.argument()])
            await _wait_sending(offsets, sender)
            reading = Reading(
                *([stays.port], "json", READ_AT_ONCE, plan.users, plan.seconds),
                connections=4,
                keys_per_s=READS_PER_S,
            )
            reader = rig.child("reader", ["-m", "benchmarks.rig.http_reader", reading.argument()])
            begun = time.monotonic()
            await asyncio.gather(
                self._sample(begun, offsets, sender),
                self._probe(begun, stays, load.start_ms),
                self._trouble(begun),
            )
            sent = await _ended(sender, load.seconds)
            read = await _ended(reader, reading.seconds)
            self.reads = {
                "reads/s": read["requests"] * READ_AT_ONCE / read["seconds"],
                "refused": read["errors"],
                **percentiles(read["times"], "batch ms"),
            }
            self._bench.tell(f"{sent['events']:,} events sent: the last ones are processed")
            await offsets.wait_caught_up(_DRAIN_TIMEOUT_S, _POLL_S)
            # The filled state leaves the window.
            await send_marks(rig.settings, "end", plan.closes_ms())
            await offsets.wait_caught_up(_DRAIN_TIMEOUT_S, _POLL_S)

    def end(self) -> None:
        """Stop the workers."""
        self._fleet.stop()

    async def _sample(self, begun: float, offsets: Offsets, sender: Child) -> None:
        plan = self._plan
        count = plan.minutes * plan.samples_per_minute
        self._progress.begin("load", round(plan.seconds))
        shown = 0
        for number in range(count + 1):
            await _until(begun + number * plan.seconds / count)
            committed, ends = await asyncio.gather(offsets.committed(), offsets.ends())
            at_s, totals = time.monotonic(), await self._fleet.totals()
            folders = await asyncio.to_thread(_disk, self._rig)
            self._samples.append(
                Sample(
                    *(at_s, committed, max(0, ends - committed)),
                    workers_cpu_s=totals.cpu_s,
                    broker_cpu_s=Usage.of(self._rig.broker_pid).cpu_s,
                    sender_cpu_s=sender.usage().cpu_s,
                    changelog_bytes=totals.changelog_bytes,
                    memory=self._fleet.memory(),
                    **folders,
                )
            )
            self._progress.advance(round(at_s - begun) - shown)
            shown = round(at_s - begun)

    async def _probe(self, begun: float, worker: Worker, start_ms: int) -> None:
        """Send probes in every minute, even if some of the minute before are not answered."""
        plan = self._plan
        prober = Prober(
            *(self._rig.settings, worker.url),
            lambda: start_ms + round(1000 * (time.monotonic() - begun)),
        )

        async def minute(number: int) -> None:
            count = round(PROBES_PER_S * plan.minute_s)
            self._user_ms[number] = (await prober.run(plan.minute_s, count)).users
            found = self._between(number, number + 1)
            self._bench.tell(
                f"minute {(number + 1) * plan.minute_s / 60:.1f}: "
                f"{found['events/s']:,.0f} events/s, users p99 {found['user ms p99']:.0f} ms, "
                f"{found.get('workers us/event', 0):.1f} us/event"
            )

        tasks = []
        for number in range(plan.minutes):
            await _until(begun + number * plan.minute_s)
            tasks.append(asyncio.create_task(minute(number)))
        await asyncio.gather(*tasks)

    async def _trouble(self, begun: float) -> None:
        """Restart worker ``b`` once, and kill it once."""
        await _until(begun + self._plan.restarts_at_s)
        self._bench.tell("worker b is restarted")
        await self._fleet.end("b", "SIGTERM")
        await _ready(self._fleet.start("b"))
        await _until(begun + self._plan.killed_at_s)
        self._bench.tell("worker b is killed")
        await self._fleet.end("b", "SIGKILL")
        await asyncio.sleep(self._plan.down_s)
        self._bench.tell("worker b starts again")
        await _ready(self._fleet.start("b"))


def _disk(rig: Rig) -> dict[str, int]:
    """Return the disk space of the tables, of their changelogs and of the input, in bytes."""
    logs = rig.kafka.data_dir / "kafka"
    return {
        "tables": sum(map(folder_bytes, rig.folder.glob("worker-*/"))),
        "changelogs": sum(map(folder_bytes, logs.glob(f"{rig.settings.app_id}-*-changelog-*"))),
        "input": sum(map(folder_bytes, logs.glob(f"{rig.settings.events_topic}-[0-9]*"))),
    }


async def _wait_sending(offsets: Offsets, sender: Child) -> None:
    """Wait until events of ``sender`` arrive."""
    before, deadline = await offsets.ends(), time.monotonic() + START_TIMEOUT_S
    while await offsets.ends() == before:
        sender.usage()
        if time.monotonic() > deadline:
            raise BenchError(f"no event is sent within {START_TIMEOUT_S:.0f} s")
        await asyncio.sleep(_POLL_S)


async def _ready(worker: Worker) -> None:
    """Wait until ``worker`` is ready; unlike ``wait_ready``, Ctrl-C ends this at once."""
    while not await asyncio.to_thread(worker.is_ready):
        worker.usage()
        if time.monotonic() > worker.started + START_TIMEOUT_S:
            raise BenchError(f"a worker is not ready after {START_TIMEOUT_S:.0f} s")
        await asyncio.sleep(_POLL_S)


async def _ended(child: Child, seconds: float) -> dict[str, Any]:
    """Wait until ``child`` ends by itself, and return the JSON of its last line."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(child.wait, _POLL_S):
        if time.monotonic() > deadline:
            break
    return child.result(0)


async def _until(at_s: float) -> None:
    await asyncio.sleep(max(0.0, at_s - time.monotonic()))
