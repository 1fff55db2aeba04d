"""Measurement of a peer that processes a backlog.

The time is from the first commit of the peer's consumer group to the commit with which all events
are committed and the committed results have all views. Afterwards the results are compared with the
load, so a peer that loses or repeats events has no figures. Where results appear only when windows
close, the time ends with the commit of the last event, and events of the next hour then close them.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.backlog import Point
from benchmarks.rig.loads import CountedLoad, produce, send_marks
from benchmarks.rig.offsets import offsets_of
from benchmarks.rig.view_counts import counted_views
from benchmarks.rig.worker import BenchError
from streaming.kafka.clients import client_settings
from streaming.kafka.topic_specs import TopicSpec
from streaming.kafka.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.peers.peer import Peer
    from benchmarks.rig.bench import Bench
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.loads import Load
    from benchmarks.rig.offsets import Offsets
    from benchmarks.rig.view_counts import ViewCounts
    from benchmarks.rig.worker import Program

_POLL_S = 0.1
_LIMIT_S = 400.0
#: The results are committed already, or come from windows that close within seconds.
_RESULTS_S = 120.0
#: What Flink waits for events out of order, and more.
_CLOSING_MS = 60_000


class Measuring:
    """One measurement of a peer, with its own topics, group and tables."""

    def __init__(self, bench: Bench, rig: Rig, peer: Peer, end_ms: int) -> None:
        """Prepare it; the windows that are to be compared end at ``end_ms``."""
        self._bench = bench
        self._rig = rig
        self._peer = peer
        self._end_ms = end_ms
        self._events = bench.size.events // peer.share
        app = f"{rig.settings.app_id}-{peer.kind}"
        self._settings = replace(rig.settings, app_id=app, events_topic=f"{app}-events")
        self._users, self._videos = (
            name.format(app=app, events=self._settings.events_topic)
            for name in (peer.users, peer.videos)
        )

    def measure(self, command: Sequence[str], load: Load, what: str) -> dict[str, float]:
        """Send events, have them processed, and return the figures.

        Raises BenchError if the results do not have the views that were sent.
        """
        self._bench.tell(f"{what}: {self._events:,} events")
        counted = CountedLoad(load)
        asyncio.run(self._send(counted))
        program = self._start(command)
        try:
            figures = asyncio.run(self._follow(program, counted.views))
        finally:
            program.stop()
        self._bench.tell(f"{what}: {figures['events/s']:,.0f} events/s")
        return figures

    async def _send(self, load: Load) -> None:
        names = [self._settings.events_topic]
        if self._peer.closes:
            names += [self._users, self._videos]
        specs = [TopicSpec(name, self._settings.partitions, {}) for name in names]
        await ensure_topics(client_settings(self._settings), specs, 1)
        await produce(self._settings, load, self._events)

    def _start(self, command: Sequence[str]) -> Program:
        state = self._rig.folder / self._peer.kind
        state.mkdir()
        variables = {
            "PEER_BOOTSTRAP": self._rig.bootstrap,
            "PEER_EVENTS_TOPIC": self._settings.events_topic,
            "PEER_APP_ID": self._settings.app_id,
            "PEER_STATE": str(state),
            "PEER_PANES": str(int(self._peer.panes)),
        }
        return self._rig.program(self._peer.kind, command, variables)

    async def _follow(self, program: Program, views: int) -> dict[str, float]:
        """Watch offsets and results until they have all ``views``, and return the figures."""
        deadline = time.monotonic() + _LIMIT_S
        async with offsets_of(self._settings) as offsets, AsyncExitStack() as stack:
            while not (begun := await self._point(offsets, program)).done:
                await self._wait(deadline)
            if begun.done >= self._events:
                raise BenchError(f"the backlog of {self._peer.kind} is too small to be measured")
            # The peer has created its topics by now.
            users, videos = [
                await stack.enter_async_context(
                    counted_views(self._settings, topic, self._peer.views_of)
                )
                for topic in (self._users, self._videos)
            ]
            while True:
                complete = self._peer.closes or await videos.views() >= views
                now = await self._point(offsets, program)
                if complete and now.done >= self._events:
                    break
                await self._wait(deadline)
            if self._peer.closes:
                # An event of the next hour in each partition.
                await send_marks(self._settings, "closing", self._end_ms + _CLOSING_MS)
            await self._compare(views, users, videos)
        return {**now.since(begun), "peak RSS MiB": program.last.peak_rss / 2**20}

    async def _compare(self, views: int, users: ViewCounts, videos: ViewCounts) -> None:
        """Wait until both results have all ``views``; raises BenchError if they have others."""
        deadline = time.monotonic() + _RESULTS_S
        expected = (views * self._peer.rows_per_event, views)
        while (counted := (await users.views(), await videos.views())) != expected:
            if max(counted) > max(expected) or time.monotonic() > deadline:
                raise BenchError(
                    f"{self._peer.kind} counts {counted[0]:,} views of users and {counted[1]:,} "
                    f"of videos instead of {expected[0]:,} and {expected[1]:,}"
                )
            await asyncio.sleep(_POLL_S)

    async def _point(self, offsets: Offsets, program: Program) -> Point:
        return Point.here(await offsets.committed(), [program], self._rig.broker_pid)

    async def _wait(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise BenchError(f"{self._peer.kind} has not processed all in {_LIMIT_S:.0f} s")
        await asyncio.sleep(_POLL_S)
