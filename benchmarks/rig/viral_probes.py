"""Probes of the viral list: videos that turn viral, timed until every worker lists them.

A probe sends enough views and shares for one video, as one burst. Its clock starts with the last
acknowledgement of the broker, and stops when the last worker lists the video.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from typing import TYPE_CHECKING

import aiohttp
from aiokafka import AIOKafkaProducer

from benchmarks.rig.worker import BenchError
from models.partitioner import partition_of
from models.timestamps import to_iso

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from settings import Settings

#: Above all ids of the loads and of other probes; each is used once.
_FIRST_ID = 7_000_000_000
_IDS = itertools.count(_FIRST_ID)

#: Users of a probe's events, enough for every partition to have some.
_USERS = range(7_500_000_000, 7_500_000_100)

_POLL_S = 0.005
_TIMEOUT_S = 60.0
#: Read only the start of the list: the newest probe's video is at the very front.
_LISTED = 10


class ViralProber:
    """Makes videos viral, one after the other."""

    def __init__(
        self, settings: Settings, urls: Sequence[str], event_time_ms: Callable[[], int]
    ) -> None:
        """Query the workers at ``urls``; ``event_time_ms`` returns the current event time."""
        self._settings = settings
        self._urls = urls
        self._event_time_ms = event_time_ms

    async def run(self, seconds: float, count: int) -> list[float]:
        """Send ``count`` probes over ``seconds`` seconds, and wait until all are listed.

        Returns:
            For each probe, milliseconds from the acknowledgement until every worker lists it.

        Raises:
            BenchError: a video is not listed within a minute.
        """
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap_servers, linger_ms=0, acks=1
        )
        await producer.start()
        times_ms = []
        try:
            async with aiohttp.ClientSession() as session:
                begun = time.monotonic()
                for number in range(count):
                    due_s = begun + seconds * number / count
                    await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                    times_ms.append(await self._probe(producer, session))
        finally:
            await producer.stop()
        return times_ms

    async def _probe(self, producer: AIOKafkaProducer, session: aiohttp.ClientSession) -> float:
        video_id = next(_IDS)
        sending = [sent async for sent in self._send(producer, video_id)]
        await asyncio.gather(*sending)
        acknowledged = time.monotonic()
        listed = await asyncio.gather(
            *(self._until_listed(session, url, video_id) for url in self._urls)
        )
        return 1000 * (max(listed) - acknowledged)

    async def _send(
        self, producer: AIOKafkaProducer, video_id: int
    ) -> AsyncIterator[asyncio.Future[object]]:
        views = self._settings.viral_min_views
        # Each probe has a higher coefficient than the one before.
        shares = math.floor(views * self._settings.viral_coefficient) + 1 + video_id - _FIRST_ID
        users = itertools.cycle(_USERS)
        timestamp = to_iso(self._event_time_ms())
        for number in range(views + shares):
            user_id, kind = next(users), "video_view" if number < views else "share"
            text = (
                f'{{"event_id":"viral-{video_id}-{number}","event_type":"{kind}",'
                f'"user_id":{user_id},"video_id":{video_id},"timestamp":"{timestamp}"}}'
            )
            yield await producer.send(
                self._settings.events_topic,
                text.encode(),
                b"%d" % user_id,
                partition=partition_of(user_id, self._settings.partitions),
            )

    async def _until_listed(self, session: aiohttp.ClientSession, url: str, video_id: int) -> float:
        """Poll a worker until it lists the video; return the time, by ``time.monotonic``."""
        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline:
            async with session.get(f"{url}/videos/viral?limit={_LISTED}") as answer:
                listed = await answer.json()
            if any(video["video_id"] == video_id for video in listed.get("videos", ())):
                return time.monotonic()
            await asyncio.sleep(_POLL_S)
        raise BenchError(f"{url} does not list video {video_id} after {_TIMEOUT_S:.0f} s")
