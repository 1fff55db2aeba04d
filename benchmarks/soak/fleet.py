"""Workers that restart during a measurement, with counts that go on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.recovery import end

if TYPE_CHECKING:
    from benchmarks.rig.cluster import Rig
    from benchmarks.rig.worker import Worker


class Totals(NamedTuple):
    """Sums over all processes of all workers since their start."""

    cpu_s: float
    changelog_bytes: float
    """Bytes of the record batches sent to the changelogs."""

    def plus(self, other: Totals) -> Totals:
        """Return the sums of both."""
        return Totals(self.cpu_s + other.cpu_s, self.changelog_bytes + other.changelog_bytes)


class Fleet:
    """The workers of a rig, by name."""

    def __init__(self, rig: Rig) -> None:
        """Begin without workers."""
        self._rig = rig
        self._running: dict[str, Worker] = {}
        self._last: dict[str, Totals] = {}
        self._ended = Totals(0.0, 0.0)
        # No worker may end between the check that it runs and the reading of its counts.
        self._lock = asyncio.Lock()

    def start(self, name: str) -> Worker:
        """Start a worker without waiting; a name keeps its tables and its address."""
        self._last[name] = Totals(0.0, 0.0)
        worker = self._rig.worker(name)
        # A new dict: :meth:`totals` may be iterating over the former one.
        self._running = {**self._running, name: worker}
        return worker

    async def end(self, name: str, signal: str) -> None:
        """Send a worker SIGTERM or SIGKILL, and wait until it has ended."""
        async with self._lock:
            worker = self._running[name]
            # What it uses and sends while it ends is not counted.
            last = await asyncio.to_thread(self._read, name, worker)
            self._ended = self._ended.plus(last)
            del self._running[name]
        await asyncio.to_thread(end, worker, signal)

    def stop(self) -> None:
        """Stop all workers, after the measurement."""
        for worker in self._running.values():
            worker.stop()
        self._running.clear()

    async def totals(self) -> Totals:
        """Return the sums so far. Raises BenchError if a worker has ended by itself."""
        async with self._lock:
            found = self._ended
            for name, worker in self._running.items():
                found = found.plus(await asyncio.to_thread(self._read, name, worker))
        return found

    def memory(self) -> dict[str, int]:
        """Return the memory of the running workers at their last :meth:`totals`, in bytes."""
        return {name: worker.last.rss for name, worker in self._running.items()}

    def _read(self, name: str, worker: Worker) -> Totals:
        cpu_s, sent = worker.usage().cpu_s, self._last[name].changelog_bytes
        # A worker that starts or is busy does not answer.
        with contextlib.suppress(OSError):
            sent = worker.metric("reels_sent_bytes_total", "-changelog")
        self._last[name] = Totals(cpu_s, sent)
        return self._last[name]
