"""Loads that are prepared in advance, and sent by a separate process at an even rate."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.rig.loads import VIDEOS
from benchmarks.rig.spool import Spool
from loadgen import Workload
from loadgen.sessions import MAX_EVENTS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.worker import Child

_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class SteadyLoad:
    """Users in sessions for a limited time; event time runs with the clock from ``start_ms``."""

    name: str
    seed: int
    """Unique among the loads of a rig, so that their event ids differ."""
    rate: int
    """Events per second."""
    users: int
    start_ms: int
    """Milliseconds since the epoch."""
    seconds: float
    max_events_per_ms: float = MAX_EVENTS_PER_MS
    """Rate up to which sessions take as long as in real life; see :class:`loadgen.Workload`."""

    @contextmanager
    def ready(self, rig: Rig, progress: Callable[[float], None]) -> Iterator[ReadyLoad]:
        """Yield the prepared load, and delete it afterwards; ``progress`` gets the fraction."""
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
    """The result of sending a load."""

    late_s: float
    """Largest delay of a tick."""
    seconds: float
    """From the first tick to the last acknowledgement."""
    ended: float
    """Time of that acknowledgement, by ``time.time``."""


class ReadyLoad:
    """A load that is ready to be sent."""

    def __init__(self, load: SteadyLoad, rig: Rig, spool: Spool) -> None:
        """Use the spool that :meth:`SteadyLoad.ready` has written."""
        self._load = load
        self._rig = rig
        self._spool = spool

    def send(self) -> Sending:
        """Start to send it."""
        arguments = [self._rig.bootstrap, self._rig.settings.events_topic, str(self._spool.path)]
        command = ["-m", "benchmarks.rig.sender", *arguments]
        return Sending(self._load, self._rig.child(f"sender-{self._load.name}", command))


class Sending:
    """A load that is being sent."""

    def __init__(self, load: SteadyLoad, process: Child) -> None:
        """Follow ``process``, the sender of ``load``, which has just started."""
        self._load = load
        self.process = process
        self._begun = time.monotonic()

    def event_time_ms(self) -> int:
        """Return the current event time, in milliseconds since the epoch."""
        return self._load.start_ms + round(1000 * (time.monotonic() - self._begun))

    async def end(self) -> Sent:
        """Wait until all events are sent. Raises BenchError if that takes too long or fails."""
        return Sent(**await asyncio.to_thread(self.process.result, self._load.seconds + _TIMEOUT_S))
