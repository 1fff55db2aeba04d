"""A worker's Prometheus metrics; those of events are updated per batch."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from models.lenient import OPTIONAL_VALUES
from models.schema import OUTCOMES, REASONS
from monitoring.batch_histogram import BatchHistogram

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# Creation times would be a gauge beside every counter, and nobody queries them.
disable_created_metrics()  # type: ignore[no-untyped-call]
registry = CollectorRegistry()


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


COMMIT_STEPS = ("wait", "prepare", "send", "offsets", "commit", "stall", "flush")

events_read = Counter(
    "reels_events_read",
    "Records read from the input and the repartition topic, committed or not.",
    ["partition"],
    registry=registry,
)
events = Counter(
    "reels_events",
    "Records read from the input and the repartition topic, by outcome; the outcomes add up to the "
    "records read. An event that is passed on is read from both: first it is rekeyed. Late events "
    "are dead letters, too, but have their own outcome: rejected does not include them.",
    ["outcome"],
    registry=registry,
)
events_rejected = Counter(
    "reels_events_rejected",
    "Records sent to the dead-letter topic, by reason: the outcomes rejected and late of "
    "reels_events_total together.",
    ["reason"],
    registry=registry,
)
optional_values_dropped = Counter(
    "reels_optional_values_dropped",
    "Invalid optional values that were dropped from events, by field.",
    ["field"],
    registry=registry,
)
foreign_records = Counter(
    "reels_foreign_records",
    "Skipped records that other programs wrote to the app's own topics, by topic.",
    ["topic"],
    registry=registry,
)
lag_records = Gauge(
    "reels_consumer_lag_records",
    "Offsets from the applied position to the end, in the input and the repartition topic. Absent "
    "while the partition is not processed.",
    ["partition"],
    registry=registry,
)
lag_seconds = Gauge(
    "reels_consumer_lag_seconds",
    "Age of the oldest event not yet applied, by its record timestamp. Absent while the partition "
    "is not processed.",
    ["partition"],
    registry=registry,
)
commit_seconds = Histogram(
    "reels_commit_seconds",
    "Duration of a commit of the worker's tasks, by step: wait (for the previous commit), prepare "
    "(with freeze), send, offsets, commit, stall (wait for the disk); and of a task's flush.",
    ["step"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    registry=registry,
)
transactions = Counter(
    "reels_transactions",
    "Transactions, by outcome.",
    ["outcome"],
    registry=registry,
)
records_altered = Counter(
    "reels_records_altered",
    "Parts of records that were cut, omitted or replaced to fit the limits of their topic.",
    ["part"],
    registry=registry,
)
batch_records = Histogram(
    "reels_batch_records",
    "Records per fetched batch, by topic.",
    ["topic"],
    buckets=(1, 10, 100, 300, 1000, 3000, 10_000, 30_000),
    registry=registry,
)
changelog_records = Counter(
    "reels_changelog_records",
    "Records committed to the changelogs, by table.",
    ["table"],
    registry=registry,
)
sent_bytes = Counter(
    "reels_sent_bytes",
    "Bytes of the record batches that commits sent, by topic; of aborted commits, too.",
    ["topic"],
    registry=registry,
)
events_skipped = Counter(
    "reels_events_skipped",
    "Offsets of the source topics that were skipped unread, by reason: moved (an operator moved "
    "the group's offsets ahead), deleted (the topic deleted the records before they were read).",
    ["reason"],
    registry=registry,
)
recovery_records = Counter(
    "reels_recovery_records",
    "Changelog records read to restore partitions.",
    registry=registry,
)
rebalance_seconds = Histogram(
    "reels_rebalance_seconds",
    "Time from the start of a rebalance until all partitions of this worker are processed, with "
    "recovery and further rebalances.",
    buckets=(0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0),
    registry=registry,
)
rebalances = Counter(
    "reels_rebalances",
    "Rebalances of the group that this worker took part in.",
    registry=registry,
)
loop_delay_seconds = Histogram(
    "reels_event_loop_delay_seconds",
    "Delay of a timer of the event loop.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
    registry=registry,
)
recovery_remaining = Gauge(
    "reels_recovery_records_remaining",
    "Changelog offsets left to read before a partition is ready.",
    ["partition"],
    registry=registry,
)
recovery_rate = Gauge(
    "reels_recovery_records_per_second",
    "Changelog records read per second by the current recovery; 0 without one.",
    registry=registry,
)
recovery_seconds_remaining = Gauge(
    "reels_recovery_seconds_remaining",
    "Time left of the current recovery at its present rate; 0 without one.",
    registry=registry,
)
workers = Gauge(
    "reels_workers",
    "Workers in the group, as this worker sees it.",
    registry=registry,
)
workers_lost = Gauge(
    "reels_workers_lost",
    "Workers that disappeared from the group without leaving in order in the last 15 minutes, and "
    "have not come back.",
    registry=registry,
)
workers_with_other_rules = Gauge(
    "reels_workers_with_other_rules",
    "Workers of the group with other rules than this worker: windows, steps, horizon, skew, viral "
    "rule or REELS_CREATORS.",
    registry=registry,
)
viral_videos = Gauge(
    "reels_viral_videos",
    "Videos on the viral list.",
    registry=registry,
)
http_requests = Counter(
    "reels_http_requests",
    "Answered requests, by route template and status.",
    ["route", "code"],
    registry=registry,
)
batch_keys_asked = Counter(
    "reels_batch_keys_asked",
    "Keys in batch requests, by table; counted by the worker that the client asked.",
    ["table"],
    registry=registry,
)
batch_keys = Counter(
    "reels_batch_keys",
    "Keys in batch requests, by table and result: found, unknown or unavailable.",
    ["table", "outcome"],
    registry=registry,
)
http_request_seconds = Histogram(
    "reels_http_request_seconds",
    "Time from a request's arrival to its answer, by route template.",
    ["route"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0),
    registry=registry,
)

build_info = Gauge(
    "reels_build_info",
    "Always 1; the labels name the release and its environment.",
    ["version", "python", "faust", "accelerator"],
    registry=registry,
)
ProcessCollector(registry=registry)


def set_build(accelerator: str) -> None:
    """Set the build's labels; ``accelerator`` is ``compiled`` or ``plain``."""
    build_info.clear()
    release, faust = _version_of("reels-analytics"), _version_of("faust-streaming")
    build_info.labels(release, python_version(), faust, accelerator).set(1)


# A rate needs a value before the first increment.
for _outcome in OUTCOMES:
    events.labels(_outcome)
for _reason in REASONS:
    events_rejected.labels(_reason)
for _value in OPTIONAL_VALUES:
    optional_values_dropped.labels(_value)
for _step in COMMIT_STEPS:
    commit_seconds.labels(_step)
for _outcome in ("committed", "aborted", "fenced"):
    transactions.labels(_outcome)
for _part in ("key", "value", "headers", "timestamp"):
    records_altered.labels(_part)

_LAGS = (lag_records, lag_seconds)
_PER_PARTITION = (*_LAGS, recovery_remaining)


def keep_partitions(here: Collection[int]) -> None:
    """Remove the gauges of all partitions except those ``here``.

    Counters stay: they count what this worker has read, wherever a partition is now.
    """
    _keep(here, _PER_PARTITION)


def keep_lags(running: Collection[int]) -> None:
    """Remove the lag of all partitions except those ``running``, because it is unknown."""
    _keep(running, _LAGS)


def _keep(partitions: Collection[int], gauges: Iterable[Gauge]) -> None:
    kept = {str(partition) for partition in partitions}
    for gauge in gauges:
        found = {
            sample.labels["partition"] for family in gauge.collect() for sample in family.samples
        }
        for partition in found - kept:
            gauge.remove(partition)


ingest_latency = BatchHistogram(
    "reels_ingest_latency_seconds",
    "Time from an event's record timestamp until it is applied, in its own partition.",
    (
        # Close enough for interpolation between two bounds to be useful.
        *(0.005, 0.01, 0.015, 0.025, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75),
        *(1.0, 1.5, 2.5, 3.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0),
    ),
)
registry.register(ingest_latency)
