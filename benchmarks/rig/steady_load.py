"""Loads that are made ready beforehand and sent by a process of their own, at an even rate."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.rig.loads import VIDEOS
from benchmarks.rig.spool import Spool
from benchmarks.rig.worker import BenchError
from loadgen import Workload
from loadgen.sessions import MAX_EVENTS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.worker import Child

_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class SteadyLoad:
    """Users in sessions, for a while; event time goes by the clock from ``start_ms`` on."""

    name: str
    seed: int
    """No two loads of one rig have the same: their events' ids would be."""
    rate: int
    """Events a second."""
    users: int
    start_ms: int
    """Since the epoch."""
    seconds: float
    max_events_per_ms: float = MAX_EVENTS_PER_MS
    """Up to which rate sessions take as long as in life; see :class:`loadgen.Workload`."""

    @contextmanager
    def ready(self, rig: Rig, progress: Callable[[float], None]) -> Iterator[ReadyLoad]:
        """Make it ready, telling ``progress`` the part that is; delete it at the end."""
        stream = Workload(
            *(self.seed, self.users, VIDEOS),
            start_ms=self.start_ms,
            ms_per_event=1000 / self.rate,
            max_events_per_ms=self.max_events_per_ms,
        )
        spool = Spool(rig.folder / f"load-{self.name}")
        try:
            spool.write(stream, self.rate, self.seconds, rig.settings.partitions, progress)
            yield ReadyLoad(self, rig, spool)
        finally:
            spool.delete()


class Sent(NamedTuple):
    """How the sending of a load went."""

    late_s: float
    """By how much the latest tick left too late."""
    seconds: float
    """From the first tick to the last one's acknowledgement."""
    ended: float
    """By the clock of ``time.time``: when that came."""


class ReadyLoad:
    """A load that only needs to be sent."""

    def __init__(self, load: SteadyLoad, rig: Rig, spool: Spool) -> None:
        """Take what :meth:`SteadyLoad.ready` has made."""
        self._load = load
        self._rig = rig
        self._spool = spool

    def send(self) -> Sending:
        """Begin to send it."""
        arguments = [self._rig.bootstrap, self._rig.settings.events_topic, str(self._spool.path)]
        command = ["-m", "benchmarks.rig.sender", *arguments]
        return Sending(self._load, self._rig.child(f"sender-{self._load.name}", command))


class Sending:
    """A load that is being sent."""

    def __init__(self, load: SteadyLoad, process: Child) -> None:
        """``process`` is the sender of ``load``, and has just begun."""
        self._load = load
        self.process = process
        self._begun = time.monotonic()

    def event_time_ms(self) -> int:
        """Return what time it is in the stream, since the epoch."""
        return self._load.start_ms + round(1000 * (time.monotonic() - self._begun))

    async def end(self) -> Sent:
        """Wait until all is sent. Raises BenchError when that takes too long, or fails."""
        if not await asyncio.to_thread(self.process.wait, self._load.seconds + _TIMEOUT_S):
            raise BenchError("the sender does not end")
        return Sent(**json.loads(self.process.output().splitlines()[-1]))
