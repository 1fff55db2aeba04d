"""The recent figures of one worker: whether it answers, and its rates.

Pure, like :mod:`views.cluster`, which has one history per worker.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from views.worker_stats import LatencyBuckets, Reads, WorkerStats

#: Seconds over which rates are measured.
RATE_WINDOW_S: Final = 5.0


class Sample(NamedTuple):
    """The counters of a worker that rates need."""

    uptime_s: float
    read: int
    latency: LatencyBuckets
    reads: Reads


@dataclass
class WorkerHistory:
    """The recent answers of one worker."""

    figures: WorkerStats | None = None
    """The latest answer."""
    answered_at: float = 0.0
    gone_since: float | None = None
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=30))

    def answered(self, figures: WorkerStats, now: float) -> None:
        """Add an answer, unless it is known; after a restart of the worker, counters begin at 0."""
        known = None if self.figures is None else self.figures.uptime_s
        if figures.uptime_s == known:
            return
        if known is not None and figures.uptime_s < known:
            self.samples.clear()
        self.samples.append(
            Sample(figures.uptime_s, figures.events.read, figures.latency, figures.reads)
        )
        self.figures, self.answered_at, self.gone_since = figures, now, None

    def silent(self, now: float) -> None:
        """Record that the worker does not answer."""
        if self.gone_since is None:
            self.gone_since = now
        self.samples.clear()

    def since(self, seconds: float) -> tuple[Sample, Sample] | None:
        """Return the sample of ``seconds`` ago, or else the oldest one, and the latest sample."""
        if len(self.samples) < 2:  # noqa: PLR2004 - a difference needs two
            return None
        last = self.samples[-1]
        first = next(s for s in self.samples if last.uptime_s - s.uptime_s <= seconds + 0.5)
        return (first, last) if first is not last else (self.samples[-2], last)

    def rate(self) -> float | None:
        """Events per second, None without two samples."""
        if (pair := self.since(RATE_WINDOW_S)) is None:
            return None
        first, last = pair
        return (last.read - first.read) / (last.uptime_s - first.uptime_s)

    def read_rates(self) -> tuple[float, float]:
        """Read requests per second, and keys read per second."""
        if (pair := self.since(RATE_WINDOW_S)) is None:
            return 0.0, 0.0
        first, last = pair
        seconds = last.uptime_s - first.uptime_s
        requests, keys = (
            getattr(last.reads, name) - getattr(first.reads, name) for name in ("requests", "keys")
        )
        return requests / seconds, keys / seconds
