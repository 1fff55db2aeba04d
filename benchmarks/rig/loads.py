"""Loads: users in sessions like the load generator's, and users drawn uniformly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.rig.filling import an_id_of_each_partition
from commands.sending import EventSender
from loadgen import Workload
from loadgen.kinds import EventKind
from loadgen.mixing import RECORD
from loadgen.population import Population, draw_devices
from loadgen.rendering import Renderer
from loadgen.workload import EventChunk
from models.timestamps import to_iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from settings import Settings

#: Events per second of event time, at any rate of the run.
NOMINAL_RATE = 50_000

VIDEOS = 20_000

_CHUNK = 8_192
_LIKES = 0.1


class Load(Protocol):
    """An endless stream of events."""

    def chunk(self, count: int) -> EventChunk:
        """Return the next ``count`` events."""


class UniformLoad:
    """Events of users drawn uniformly: nearly every one is a cold read.

    Nine of ten events are views, the others likes; videos are drawn as in :class:`Workload`.
    """

    def __init__(self, seed: int, users: int, start_ms: int) -> None:
        """Prepare the stream; event time begins at ``start_ms``, milliseconds since the epoch."""
        self._rng = np.random.default_rng(seed)
        self._users = users
        self._start_ms = start_ms
        self._population = Population.of(users, VIDEOS, np.empty(0, np.int64))
        self._renderer = Renderer(b"%08x" % (0xFFFFFFFF - seed), self._population)
        self._made = 0

    def chunk(self, count: int) -> EventChunk:
        """Return the next ``count`` events."""
        rng = self._rng
        records = np.zeros(count, RECORD)
        records["serial"] = self._made + np.arange(count)
        records["session"] = records["serial"]
        records["user"] = rng.integers(1, self._users + 1, count)
        records["video"] = self._population.videos(rng, count)
        records["kind"] = np.where(rng.random(count) < _LIKES, EventKind.LIKE, EventKind.VIDEO_VIEW)
        records["watched_ms"] = rng.integers(300, 60_000, count)
        records["position"] = rng.integers(0, 1000, count)
        records["device"] = draw_devices(rng, count)
        self._made += count
        times: npt.NDArray[np.int64] = self._start_ms + records["serial"] * 1000 // NOMINAL_RATE
        values = self._renderer.events(records, times)
        users = records["user"].copy()
        keys = [b"%d" % user for user in users.tolist()]
        return EventChunk(keys, values.tolist(), users, records["kind"].copy())


class CountedLoad:
    """A load that counts its views."""

    def __init__(self, load: Load) -> None:
        """Begin with none."""
        self._load = load
        self.views = 0

    def chunk(self, count: int) -> EventChunk:
        """Return the next ``count`` events."""
        chunk = self._load.chunk(count)
        self.views += int((chunk.kinds == EventKind.VIDEO_VIEW).sum())
        return chunk


def make_load(kind: str, seed: int, users: int, start_ms: int) -> Load:
    """Return the load ``sessions`` or ``uniform`` of ``users`` users."""
    if kind == "uniform":
        return UniformLoad(seed, users, start_ms)
    return Workload(seed, users, VIDEOS, start_ms=start_ms, ms_per_event=1000 / NOMINAL_RATE)


async def produce(
    settings: Settings,
    load: Load,
    events: int,
    progress: Callable[[float], None] = lambda _: None,
) -> None:
    """Send ``events`` events as fast as possible; ``progress`` gets the done fraction."""
    async with EventSender(settings) as sender:
        for first in range(0, events, _CHUNK):
            await sender.send(load.chunk(min(_CHUNK, events - first)))
            progress(first / events)
        await sender.flush()
    if sender.sent_events != events:
        msg = f"Kafka took {sender.sent_events:,} of {events:,} events"
        raise RuntimeError(msg)


async def send_marks(settings: Settings, name: str, t_ms: int) -> None:
    """Send an event of ``t_ms`` to each partition."""
    users = an_id_of_each_partition(settings.partitions)
    values = [
        (
            f'{{"event_id":"{name}-{user}","event_type":"like","user_id":{user},'
            f'"video_id":1,"timestamp":"{to_iso(t_ms)}"}}'
        ).encode()
        for user in users.tolist()
    ]
    keys = [b"%d" % user for user in users.tolist()]
    async with EventSender(settings) as sender:
        await sender.send(EventChunk(keys, values, users, np.zeros(len(users), np.uint8)))
        await sender.flush()
