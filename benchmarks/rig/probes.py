"""Probes: events of new users and videos, timed until an HTTP answer counts them.

A probe's clock starts before its event is sent, and stops when an answer with the event arrives. A
probe polls after 10 ms, or after 5 % of its waiting time if that is longer, to keep polling cheap.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
from aiokafka import AIOKafkaProducer

from benchmarks.rig.worker import BenchError
from models.partitioner import partition_of
from models.timestamps import to_iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from settings import Settings

#: Above all ids of the loads. Each is used once, because a used id has an answer already.
_IDS = itertools.count(5_000_000_000)

_SHORTEST_PAUSE_S = 0.01
_PAUSE_PART = 0.05
_TIMEOUT_S = 120.0
_OK = 200


@dataclass
class Latencies:
    """Milliseconds from sending an event to the answer that counts it, one per probe."""

    users: list[float] = field(default_factory=list)
    videos: list[float] = field(default_factory=list)


class Prober:
    """Sends probes at even intervals."""

    def __init__(self, settings: Settings, url: str, event_time_ms: Callable[[], int]) -> None:
        """Query the worker at ``url``; ``event_time_ms`` returns the current event time."""
        self._settings = settings
        self._url = url
        self._event_time_ms = event_time_ms

    async def run(self, seconds: float, count: int) -> Latencies:
        """Send ``count`` probes over ``seconds`` seconds, and wait for all their answers.

        Raises BenchError if one is not answered within two minutes.
        """
        latencies = Latencies()
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap_servers, linger_ms=0, acks=1
        )
        await producer.start()
        connector = aiohttp.TCPConnector(limit=64)
        try:
            async with aiohttp.ClientSession(self._url, connector=connector) as session:
                begun = time.monotonic()
                probes = []
                for number in range(count):
                    due_s = begun + seconds * number / count
                    await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                    probes.append(asyncio.create_task(self._probe(producer, session, latencies)))
                await asyncio.gather(*probes)
        finally:
            await producer.stop()
        return latencies

    async def _probe(
        self, producer: AIOKafkaProducer, session: aiohttp.ClientSession, latencies: Latencies
    ) -> None:
        number = next(_IDS)
        text = (
            f'{{"event_id":"probe-{number}","event_type":"video_view","user_id":{number},'
            f'"video_id":{number},"timestamp":"{to_iso(self._event_time_ms())}",'
            f'"metadata":{{"view_duration_ms":1000}}}}'
        )
        begun = time.monotonic()
        await producer.send(
            self._settings.events_topic,
            text.encode(),
            b"%d" % number,
            partition=partition_of(number, self._settings.partitions),
        )
        # A video's counts come from the deltas of the user's partition, so they are never sooner.
        latencies.users.append(await self._until_there(session, f"/users/{number}", begun))
        latencies.videos.append(await self._until_there(session, f"/videos/{number}", begun))

    async def _until_there(self, session: aiohttp.ClientSession, path: str, begun: float) -> float:
        """Poll until ``path`` is found, which needs the probe's event; return milliseconds."""
        while True:
            async with session.get(path) as answer:
                await answer.read()
                elapsed_s = time.monotonic() - begun
                if answer.status == _OK:
                    return elapsed_s * 1000
            if elapsed_s > _TIMEOUT_S:
                raise BenchError(f"{path} does not count its event after {_TIMEOUT_S:.0f} s")
            await asyncio.sleep(max(_SHORTEST_PAUSE_S, elapsed_s * _PAUSE_PART))
