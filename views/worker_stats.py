"""A worker's figures: the answer of ``GET /overview``, which other workers read as well."""

from __future__ import annotations

from math import isfinite
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from models.counters import ENTITIES
from models.windows import to_iso
from monitoring import metrics
from tables.sliced import NotHereError
from tables.users import NAME as USERS
from tables.videos import NAME as VIDEOS
from views.roster import Departed  # noqa: TC001 - msgspec reads the annotation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client.metrics import MetricWrapperBase

    from streaming.ports import WorkerStatus
    from tables.records import ViralVideo
    from views.health import Readiness
    from views.neighbours import Neighbours
    from views.query_context import QueryContext
    from views.routing import Routing

#: Number of viral videos shown, and of steps with their views.
VIRAL_SHOWN: Final = 20
STEPS_SHOWN: Final = 96


class Events(Struct, frozen=True):
    """Events read since the worker's start: all, by outcome, rejected by reason.

    One that lay in another partition than its user's is read there, and again in its own.
    """

    read: int
    outcomes: dict[str, int]
    rejected: dict[str, int]


class Reads(Struct, frozen=True):
    """Requests for keys of the tables answered since the worker's start, and keys asked for."""

    requests: int = 0
    keys: int = 0


class Lag(Struct, frozen=True):
    """Records not applied yet, and the age in seconds of the oldest of them."""

    records: int
    seconds: float


class LatencyBuckets(Struct, frozen=True):
    """Events by latency since the worker's start; the last count is that above all bounds."""

    bounds_s: list[float]
    counts: list[int]


class Partitions(Struct, frozen=True):
    """Partitions in all, this worker's, those of them not open yet, and who owns which."""

    total: int
    owned: list[int]
    recovering: list[int]
    by_worker: dict[str, list[int]]
    shared_addresses: list[str] = []
    """Addresses of ``by_worker`` that several workers have; only one of them is reachable."""


class Steps(Struct, frozen=True):
    """Views of a video in each step of the rolling window, oldest first."""

    start: str
    step_s: int
    views: list[int]


class Viral(Struct, frozen=True):
    """A viral video; ``steps`` where its partition is here."""

    video_id: int
    viral_coefficient: float
    views: int
    shares: int
    comments: int
    detected_at: str
    steps: Steps | None


class ViralList(Struct, frozen=True):
    """How many videos are viral, and the first of them."""

    count: int
    videos: list[Viral]
    complete: bool = True
    """Whether the viral state of every video is known."""


class WorkerStats(Struct, frozen=True):
    """One worker's figures; counters count from its start. Partitions are named in decimal.

    The lag of a partition that is not processed is unknown, and then so is that of the worker.
    """

    worker: str
    time: str
    uptime_s: float
    ready: bool
    obstacle: str | None
    events: Events
    lag: Lag | None
    lag_by_partition: dict[str, Lag]
    latency_s: dict[str, float | None]
    latency: LatencyBuckets
    partitions: Partitions
    recovery: dict[str, int]
    """Changelog records still to be read, by recovering partition."""
    viral: ViralList
    worker_id: str = ""
    """Identifies the worker whatever its address, also after a restart."""
    rules: dict[str, str] = {}
    """Settings that all workers of an app must share; empty for an earlier release."""
    departed: list[Departed] = []
    """Workers that are no longer in the group: left or lost."""
    reads: Reads = Reads()


class WorkerStatsReader:
    """Reads this worker's current figures."""

    def __init__(
        self,
        status: WorkerStatus,
        query_context: QueryContext,
        routing: Routing,
        readiness: Readiness,
        neighbours: Neighbours,
    ) -> None:
        """Combine the figures of these parts of the worker."""
        self._status = status
        self._query_context = query_context
        self._routing = routing
        self._addresses = routing.addresses
        self._readiness = readiness
        self._neighbours = neighbours
        self._started = monotonic()

    def read(self) -> WorkerStats:
        """Return the figures."""
        obstacle = self._readiness.obstacle()
        lag_seconds = by_label(metrics.lag_seconds)
        lags = {
            partition: Lag(int(records), lag_seconds.get(partition, 0.0))
            for partition, records in by_label(metrics.lag_records).items()
        }
        partitions = self._partitions()
        remaining = by_label(metrics.recovery_remaining)
        histogram = metrics.ingest_latency
        return WorkerStats(
            worker=str(self._status.url),
            time=to_iso(int(time() * 1000)),
            uptime_s=monotonic() - self._started,
            ready=obstacle is None,
            obstacle=obstacle,
            events=Events(
                read=int(sum(by_label(metrics.events_read).values())),
                outcomes=_whole(by_label(metrics.events)),
                rejected=_whole(by_label(metrics.events_rejected)),
            ),
            lag=_total(lags, partitions.owned),
            lag_by_partition=lags,
            latency_s={"p50": _latency(0.5), "p99": _latency(0.99)},
            latency=LatencyBuckets(list(histogram.bounds), list(histogram.counts)),
            partitions=partitions,
            recovery={
                str(number): int(remaining.get(str(number), 0)) for number in partitions.recovering
            },
            viral=ViralList(
                count=len(self._query_context.viral),
                videos=[self._viral(video) for video in self._query_context.viral.top(VIRAL_SHOWN)],
                complete=self._query_context.viral.is_complete,
            ),
            worker_id=self._status.worker_id,
            rules=self._neighbours.rules,
            departed=self._neighbours.roster.departed,
            reads=_reads(),
        )

    def _partitions(self) -> Partitions:
        workers = self._routing.workers(self._query_context.tables[USERS])
        return Partitions(
            total=self._status.partitions,
            owned=sorted(self._status.assigned()),
            recovering=self._readiness.recovering(),
            by_worker={str(url): owned for url, owned in workers.items()},
            shared_addresses=[str(url) for url in workers if self._addresses.shared(url)],
        )

    def _viral(self, video: ViralVideo) -> Viral:
        return Viral(
            video.video_id,
            video.viral_coefficient,
            video.views,
            video.shares,
            video.comments,
            video.detected_at,
            self._steps(video.video_id),
        )

    def _steps(self, video_id: int) -> Steps | None:
        try:
            value, stream_time, _ = self._query_context.tables[VIDEOS].read(video_id)
        except NotHereError:
            return None
        if value is None or stream_time is None:
            return None
        windows = self._query_context.windows[VIDEOS]
        slices = windows.slices
        first, end = slices.window_at(stream_time)
        first = max(first, end - STEPS_SHOWN)
        views = [0] * (end - first)
        for pane in windows.steps(value, first, end):
            views[pane.start_ms // slices.step - first] = pane.views
        return Steps(to_iso(first * slices.step), slices.step // 1000, views)


def by_label(metric: MetricWrapperBase) -> dict[str, float]:
    """Return the values of a counter or gauge with one label, by the label's value."""
    return {
        next(iter(sample.labels.values())): sample.value
        for family in metric.collect()
        for sample in family.samples
    }


def _total(lags: Mapping[str, Lag], owned: Iterable[int]) -> Lag | None:
    """Return the lag of all partitions, None while that of one of those ``owned`` is unknown."""
    if any(str(number) not in lags for number in owned):
        return None
    return Lag(
        sum(lag.records for lag in lags.values()),
        max((lag.seconds for lag in lags.values()), default=0.0),
    )


#: Prefixes of routes that read one key.
_SINGLE: Final = tuple(f"/{each.plural}/{{" for each in ENTITIES)
#: Batch routes, whose keys have a counter of their own.
_BATCHES: Final = frozenset(f"/{each.plural}{end}" for each in ENTITIES for end in ("", "/query"))


def _reads() -> Reads:
    """Return the reads; a forwarded request counts on both workers."""
    single = batches = 0
    for family in metrics.http_requests.collect():
        for sample in family.samples:
            route = sample.labels["route"]
            if route.startswith(_SINGLE):
                single += int(sample.value)
            elif route in _BATCHES:
                batches += int(sample.value)
    keys = sum(by_label(metrics.batch_keys_asked).values())
    return Reads(requests=single + batches, keys=single + int(keys))


def _whole(numbers: dict[str, float]) -> dict[str, int]:
    return {name: int(number) for name, number in numbers.items()}


def _latency(fraction: float) -> float | None:
    """Return a quantile in seconds; None without events, or above the last bucket."""
    seconds = metrics.ingest_latency.quantile(fraction)
    return seconds if seconds is not None and isfinite(seconds) else None
