"""Plain Faust: this program and the idiomatic Faust app for its job, in the same run.

Each run has its own Kafka, on which this program and :mod:`benchmarks.plain_faust`, at least once
and exactly once, take turns from empty tables; a ratio is of one run. They get the same stream of
events, but plain Faust only the first hundredth of the backlog, because all of it would take hours.
Event times are close to now, because plain Faust's windows expire by the wall clock.

This program is measured as in the case ``backlog``. Plain Faust is measured from its first
changelog record until a reader of committed records finds every view in both its tables, which also
checks that it counts every event. Its committed offsets do not show that, because its repartition
topic lags under a backlog. The time includes the wait for the last commits, 4 to 5 s under
exactly-once, so small sizes understate plain Faust.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import orjson

from benchmarks.backlog import Point, send, work_off
from benchmarks.rig.figures import Row
from benchmarks.rig.loads import CountedLoad, make_load, produce
from benchmarks.rig.offsets import offsets_of
from benchmarks.rig.view_counts import counted_views
from benchmarks.rig.worker import BenchError
from streaming.kafka.clients import client_settings
from streaming.kafka.topic_specs import TopicSpec
from streaming.kafka.topics import ensure_topics

if TYPE_CHECKING:
    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.loads import Load
    from benchmarks.rig.worker import Child

GUARANTEES = ("at_least_once", "exactly_once")

#: How long ago event time begins: no event is in the future, and no window has expired.
AGO_MS = 60_000

#: Events of this program per event of plain Faust.
SHARE = 100

#: Windows of a day, hopping by an hour, that contain an event of a user.
USER_WINDOWS = 24

_POLL_S = 0.1
_LIMIT_S = 600.0


def run(bench: Bench) -> list[Row]:
    """Measure this program and plain Faust in turn."""
    users = min(bench.size.users)
    ours = Row({"program": "this program", "guarantee": "exactly once", "users": users})
    of_plain = {
        guarantee: Row({"program": "plain Faust", "guarantee": _words(guarantee), "users": users})
        for guarantee in GUARANTEES
    }
    for number in range(bench.size.runs):
        what = f"this program, run {number + 1}"
        start_ms = time.time_ns() // 1_000_000 - AGO_MS
        load = partial(make_load, "sessions", 1, users, start_ms)
        with bench.rig() as rig:
            send(bench, rig, load(), bench.size.events, what)
            figures = work_off(bench, rig, what)
            rate = figures["events/s"]
            for guarantee, row in of_plain.items():
                what = f"plain Faust {_words(guarantee)}, run {number + 1}"
                plain = PlainFaust(bench, rig, guarantee).measure(load(), what)
                row.add(plain)
                figures[f"times plain {_words(guarantee)}"] = rate / plain["events/s"]
            ours.add(figures)
    return [ours, *of_plain.values()]


def _views(row: bytes) -> int:
    views: int = orjson.loads(row)["views"]
    return views


def _words(guarantee: str) -> str:
    return guarantee.replace("_", " ")


class PlainFaust:
    """Plain Faust under one guarantee, with its own topics, group and tables."""

    def __init__(self, bench: Bench, rig: Rig, guarantee: str) -> None:
        """Prepare it; ``guarantee`` is Faust's name for it."""
        self._bench = bench
        self._rig = rig
        self._guarantee = guarantee
        self._events = bench.size.events // SHARE
        app_id = f"{rig.settings.app_id}-{guarantee}"
        self._settings = replace(rig.settings, app_id=app_id, events_topic=f"{app_id}-events")
        self._by_video = f"{app_id}-events-by-video"
        self._users, self._videos = (f"{app_id}-{name}-changelog" for name in ("users", "videos"))

    def measure(self, load: Load, what: str) -> dict[str, float]:
        """Send events, have them processed, and return the figures.

        Raises BenchError if the tables do not have the views that were sent.
        """
        counted = CountedLoad(load)
        self._bench.tell(f"{what}: {self._events:,} events")
        asyncio.run(self._make_topics())
        asyncio.run(produce(self._settings, counted, self._events))
        worker = self._start()
        try:
            figures = asyncio.run(self._follow(worker, counted.views))
        finally:
            worker.kill()  # under exactly-once it does not stop cleanly
        self._bench.tell(f"{what}: {figures['events/s']:,.0f} events/s")
        return figures

    async def _make_topics(self) -> None:
        """Create all topics in advance, as in production.

        If plain Faust creates them, its first start may find a changelog without partitions: an
        agent crashes, and its current event is lost.
        """
        compacted = {"cleanup.policy": "compact,delete"}
        configs: dict[str, dict[str, str]] = {
            self._settings.events_topic: {},
            self._by_video: {},
            self._users: compacted,
            self._videos: compacted,
        }
        partitions = self._settings.partitions
        specs = [TopicSpec(name, partitions, config) for name, config in configs.items()]
        replicas = self._settings.replication_factor
        await ensure_topics(client_settings(self._settings), specs, replicas)

    def _start(self) -> Child:
        name = f"plain-{self._guarantee}"
        variables = {
            "PLAIN_APP_ID": self._settings.app_id,
            "PLAIN_EVENTS_TOPIC": self._settings.events_topic,
            "PROCESSING_GUARANTEE": self._guarantee,
        }
        app = ("-A", "benchmarks.plain_faust.app", "--datadir", str(self._rig.folder / name))
        command = ["-m", "faust", *app, "worker", "-l", "error", "--without-web"]
        return self._rig.child(name, command, variables=variables)

    async def _follow(self, worker: Child, views: int) -> dict[str, float]:
        """Watch the tables until they have all ``views``, and return the figures."""
        begun = await self._begin(worker)
        deadline = time.monotonic() + _LIMIT_S
        async with (
            counted_views(self._settings, self._users, _views) as users,
            counted_views(self._settings, self._videos, _views) as videos,
        ):
            while True:
                now = self._point(worker, self._events)
                # Users have 24 times the records, so reading them during the run costs too much.
                of_videos, of_users = await videos.views(), 0
                if of_videos >= views:
                    of_users = await users.views() // USER_WINDOWS
                counted = (of_videos, of_users)
                if min(counted) >= views:
                    break
                if time.monotonic() > deadline:
                    raise BenchError(self._complaint(views, counted))
                await asyncio.sleep(_POLL_S)
        if self._guarantee == "exactly_once" and counted != (views, views):
            raise BenchError(self._complaint(views, counted))
        return {**now.since(begun), "peak RSS MiB": worker.last.peak_rss / 2**20}

    async def _begin(self, worker: Child) -> Point:
        """Wait for its first change to the table of users, committed or not."""
        deadline = time.monotonic() + _LIMIT_S
        async with offsets_of(replace(self._settings, events_topic=self._users)) as changes:
            while not await changes.ends():
                if time.monotonic() > deadline:
                    raise BenchError(f"plain Faust counts nothing in {_LIMIT_S:.0f} s")
                worker.usage()
                await asyncio.sleep(_POLL_S / 2)
        return self._point(worker, 0)

    def _point(self, worker: Child, done: int) -> Point:
        return Point.here(done, [worker], self._rig.broker_pid)

    def _complaint(self, views: int, counted: tuple[int, int]) -> str:
        return (
            f"plain Faust ({_words(self._guarantee)}) was sent {views:,} views and counts "
            f"{counted[0]:,} of videos, {counted[1]:,} of users"
        )
