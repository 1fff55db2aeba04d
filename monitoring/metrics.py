"""The metrics of a worker, in Prometheus' terms; all of them count what is handled in batches."""

from __future__ import annotations

from bisect import bisect_left
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable

registry = CollectorRegistry()


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


OUTCOMES = ("applied", "duplicate", "late", "rejected", "rekeyed")

events_read = Counter(
    "reels_events_read",
    "Records of the input topic handled, committed or not.",
    ["partition"],
    registry=registry,
)
events = Counter(
    "reels_events",
    "What became of the records read; the outcomes add up to them.",
    ["outcome"],
    registry=registry,
)
events_rejected = Counter(
    "reels_events_rejected",
    "Records that went to the dead-letter topic, by reason.",
    ["reason"],
    registry=registry,
)
optional_values_dropped = Counter(
    "reels_optional_values_dropped",
    "Wrong optional values that were left out of events.",
    ["field"],
    registry=registry,
)
lag_records = Gauge(
    "reels_consumer_lag_records",
    "Offsets between the log's end and what is applied.",
    ["partition"],
    registry=registry,
)
lag_seconds = Gauge(
    "reels_consumer_lag_seconds",
    "Age of the oldest event not yet applied, by its record timestamp.",
    ["partition"],
    registry=registry,
)
commit_seconds = Histogram(
    "reels_commit_seconds",
    "Duration of a task's commit, by step.",
    ["step"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    registry=registry,
)
transactions = Counter(
    "reels_transactions",
    "Transactions by their end.",
    ["outcome"],
    registry=registry,
)
recovery_remaining = Gauge(
    "reels_recovery_records_remaining",
    "Changelog offsets still to be read before a partition is ready.",
    ["partition"],
    registry=registry,
)
viral_videos = Gauge(
    "reels_viral_videos",
    "Videos on the viral list.",
    registry=registry,
)
http_requests = Counter(
    "reels_http_requests",
    "Requests answered, by the route's template and the status.",
    ["route", "code"],
    registry=registry,
)
http_request_seconds = Histogram(
    "reels_http_request_seconds",
    "From a request's arrival to its answer, by the route's template.",
    ["route"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0),
    registry=registry,
)

build_info = Gauge(
    "reels_build_info",
    "Always 1; what runs is in the labels.",
    ["version", "python", "faust"],
    registry=registry,
)
ProcessCollector(registry=registry)

build_info.labels(
    _version_of("reels-analytics"), python_version(), _version_of("faust-streaming")
).set(1)
for _outcome in OUTCOMES:
    events.labels(_outcome)
for _outcome in ("committed", "aborted", "fenced"):
    transactions.labels(_outcome)

_PER_PARTITION = (lag_records, lag_seconds, recovery_remaining)


def forget_partition(partition: int) -> None:
    """Remove the gauges of a partition that this worker has lost; its counters stay."""
    for gauge in _PER_PARTITION:
        try:
            gauge.remove(str(partition))
        except KeyError:
            continue


class BatchHistogram(Collector):
    """A histogram that takes a whole batch at once: about 20 ns a value."""

    def __init__(self, name: str, help_text: str, bounds: Iterable[float]) -> None:
        """``bounds`` are the upper bounds of the buckets, in seconds, ascending."""
        self._name = name
        self._help = help_text
        self._bounds = np.array(tuple(bounds))
        self._counts = np.zeros(len(self._bounds) + 1, dtype=np.int64)
        self._sum = 0.0

    def observe(self, seconds: np.ndarray) -> None:
        """Count every value of ``seconds``."""
        slots = np.searchsorted(self._bounds, seconds)
        self._counts += np.bincount(slots, minlength=len(self._counts))
        self._sum += float(seconds.sum())

    def quantile(self, fraction: float) -> float | None:
        """Upper bound of the bucket in which ``fraction`` of the values ends; None when empty."""
        total = self._counts.cumsum()
        if not total[-1]:
            return None
        slot = bisect_left(total.tolist(), fraction * total[-1])
        return float(self._bounds[slot]) if slot < len(self._bounds) else float("inf")

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Yield the one family."""
        family = HistogramMetricFamily(self._name, self._help)
        bounds = [str(bound) for bound in self._bounds] + ["+Inf"]
        counts = self._counts.cumsum().tolist()
        family.add_metric([], list(zip(bounds, counts, strict=True)), self._sum)
        yield family


ingest_latency = BatchHistogram(
    "reels_ingest_latency_seconds",
    "From an event's record timestamp to its being applied.",
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0),
)
registry.register(ingest_latency)
