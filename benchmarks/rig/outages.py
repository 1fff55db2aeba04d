"""Outages as clients see them: how long users get no answers, and how long events do not count.

One user of each partition is queried repeatedly, and events of that user are sent repeatedly. All
queries go to one worker, which forwards those for other workers. An outage lasts from the last
answer before it to the first one after it, from any worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Self
from uuid import uuid4

import aiohttp
from aiokafka import AIOKafkaProducer

from benchmarks.rig.filling import FILLED_UNTIL_MS, an_id_of_each_partition
from benchmarks.rig.worker import BenchError
from models.partitioner import partition_of
from models.timestamps import to_iso

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from settings import Settings

#: Seconds between two queries of a user, and between two of its events.
PERIOD_S = 0.02

_TIMEOUT_S = 300.0
#: Later answers do not count: a query that waits longer would hide answers to newer queries.
_ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=0.5)


class Outage(NamedTuple):
    """The longest outage of a partition."""

    unanswered_s: float
    """From one answer to the next."""
    uncounted_s: float
    """From one answer with a higher count to the next."""


class Track:
    """The answers of one partition; all times are seconds of the same clock."""

    def __init__(self) -> None:
        """Begin without answers."""
        # Times of the query and of the answer: for the last answer, and for the last one with a
        # higher count.
        self._asked = self._answered = 0.0
        self._asked_counted = self._counted = 0.0
        self._count = -1
        self._unanswered = self._uncounted = 0.0

    def begin(self) -> None:
        """Forget the outages so far."""
        self._unanswered = self._uncounted = 0.0

    def answer(self, asked: float, answered: float, count: int) -> None:
        """Record an answer that counts ``count`` events."""
        if self._answered:
            self._unanswered = max(self._unanswered, answered - self._answered)
        self._asked, self._answered = asked, answered
        if self._count < 0:
            self._counted, self._count = answered, count
        # The count may be lower after a crash, which undoes uncommitted events.
        if count > self._count:
            self._uncounted = max(self._uncounted, answered - self._counted)
            self._asked_counted, self._counted, self._count = asked, answered, count

    def is_up_since(self, moment: float) -> bool:
        """Whether queries sent after ``moment`` were answered, and with a higher count."""
        return min(self._asked, self._asked_counted) > moment

    def outage(self) -> Outage:
        """Return the longest outage since :meth:`begin`."""
        return Outage(self._unanswered, self._uncounted)


class Watch:
    """Watches all partitions by the answers of one worker; use it with ``async with``."""

    def __init__(self, settings: Settings, url: str, users: int, number: int) -> None:
        """Query the worker at ``url`` for users of a state of ``users`` users.

        ``number``: the watch's number. Each watch of a state queries other users, because a user's
        row grows with its events.
        """
        self._settings = settings
        self._url = url
        span = 100 * settings.partitions
        first = 1 + span * number % max(1, users - span)
        ids = an_id_of_each_partition(settings.partitions, first).tolist()
        self._users = {partition_of(user, settings.partitions): user for user in ids}
        self._tracks = {partition: Track() for partition in self._users}
        self._name = uuid4().hex[:8]
        self._sent = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start, and wait until all partitions answer and count."""
        async with contextlib.AsyncExitStack() as stack:
            producer = AIOKafkaProducer(bootstrap_servers=self._settings.bootstrap_servers, acks=1)
            await producer.start()
            stack.push_async_callback(producer.stop)
            session = await stack.enter_async_context(
                aiohttp.ClientSession(self._url, timeout=_ANSWER_TIMEOUT)
            )
            stack.push_async_callback(self._end)
            self._tasks = [asyncio.create_task(_again_and_again(partial(self._send, producer)))]
            for partition in self._users:
                ask = partial(self._ask, session, partition)
                self._tasks.append(asyncio.create_task(_again_and_again(ask)))
            await self.until_up()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        await self._stack.aclose()

    def begin(self) -> None:
        """Forget the outages so far."""
        for track in self._tracks.values():
            track.begin()

    async def until_up(self) -> None:
        """Wait until every partition has answered and counted after this call.

        Raises BenchError if that takes longer than five minutes.
        """
        moment = time.monotonic()
        while not all(track.is_up_since(moment) for track in self._tracks.values()):
            for task in self._tasks:
                if task.done():
                    task.result()
            if time.monotonic() - moment > _TIMEOUT_S:
                raise BenchError(f"a partition is not back after {_TIMEOUT_S:.0f} s")
            await asyncio.sleep(PERIOD_S)

    def outages(self) -> dict[int, Outage]:
        """Return the longest outage of each partition since :meth:`begin`."""
        return {partition: track.outage() for partition, track in self._tracks.items()}

    async def _send(self, producer: AIOKafkaProducer) -> None:
        """Send an event of each user without waiting for Kafka."""
        timestamp = to_iso(FILLED_UNTIL_MS + round(1000 * PERIOD_S * self._sent))
        for partition, user in self._users.items():
            text = (
                f'{{"event_id":"{self._name}-{self._sent}","event_type":"video_view",'
                f'"user_id":{user},"video_id":{user},"timestamp":"{timestamp}",'
                f'"metadata":{{"view_duration_ms":1000}}}}'
            )
            await producer.send(
                self._settings.events_topic, text.encode(), b"%d" % user, partition=partition
            )
        self._sent += 1

    async def _ask(self, session: aiohttp.ClientSession, partition: int) -> None:
        asked = time.monotonic()
        try:
            async with session.get(f"/users/{self._users[partition]}") as answer:
                body = await answer.json()
        except (aiohttp.ClientError, TimeoutError):
            return
        if answer.status == HTTPStatus.OK:
            count = body["total_videos_watched"]
            self._tracks[partition].answer(asked, time.monotonic(), count)
        elif answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
            raise BenchError(f"a user that there is: status {answer.status}, {body}")

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _again_and_again(step: Callable[[], Awaitable[None]]) -> None:
    while True:
        begun = time.monotonic()
        await step()
        await asyncio.sleep(max(0.0, begun + PERIOD_S - time.monotonic()))
