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
from models.schema import REASONS
from monitoring.batch_histogram import BatchHistogram

if TYPE_CHECKING:
    from collections.abc import Collection

# Creation times would be a gauge beside every counter, and nobody queries them.
disable_created_metrics()  # type: ignore[no-untyped-call]
registry = CollectorRegistry()


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


OUTCOMES = ("applied", "duplicate", "late", "rejected", "rekeyed")
COMMIT_STEPS = ("wait", "prepare", "send", "offsets", "commit", "stall", "flush")

events_read = Counter(
    "reels_events_read",
    "Records handled, committed or not: of the input, and events passed on to their partition.",
    ["partition"],
    registry=registry,
)
events = Counter(
    "reels_events",
    "What became of the records read; the outcomes add up to them. Late events are dead letters, "
    "too, but an outcome of their own: rejected does not count them.",
    ["outcome"],
    registry=registry,
)
events_rejected = Counter(
    "reels_events_rejected",
    "Records that went to the dead-letter topic, by reason: the outcomes rejected and late of "
    "reels_events_total together.",
    ["reason"],
    registry=registry,
)
optional_values_dropped = Counter(
    "reels_optional_values_dropped",
    "Wrong optional values that were left out of events.",
    ["field"],
    registry=registry,
)
foreign_records = Counter(
    "reels_foreign_records",
    "Records passed over that this program has not written, by topic: where only it writes.",
    ["topic"],
    registry=registry,
)
lag_records = Gauge(
    "reels_consumer_lag_records",
    "Offsets between the end and what is applied, of the input and of passed-on events.",
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
    "Duration of a commit of the worker's tasks, by step: wait (for the commit before), prepare "
    "(with freeze), send, offsets, commit, stall (the disk is behind); and of a task's flush.",
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
records_altered = Counter(
    "reels_records_altered",
    "Parts of records cut, left out or replaced to suit the topic that they were sent to.",
    ["part"],
    registry=registry,
)
batch_records = Histogram(
    "reels_batch_records",
    "Records of a fetched batch, by topic.",
    ["topic"],
    buckets=(1, 10, 100, 300, 1000, 3000, 10_000, 30_000),
    registry=registry,
)
changelog_records = Counter(
    "reels_changelog_records",
    "Records committed to the changelogs, by table: what commits have made of the events.",
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
    "Offsets of the source topics that were passed over unread: moved (an operator moved the "
    "group's offsets ahead), deleted (the records were gone before they were read).",
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
    "From the begin of a rebalance to all partitions of this worker being at work, recovery and "
    "rebalances that came in between included.",
    buckets=(0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0),
    registry=registry,
)
rebalances = Counter(
    "reels_rebalances",
    "Rebalances of the group that this worker went through.",
    registry=registry,
)
loop_delay_seconds = Histogram(
    "reels_event_loop_delay_seconds",
    "How much later than asked for the event loop came back to a timer.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
    registry=registry,
)
recovery_remaining = Gauge(
    "reels_recovery_records_remaining",
    "Changelog offsets still to be read before a partition is ready.",
    ["partition"],
    registry=registry,
)
recovery_rate = Gauge(
    "reels_recovery_records_per_second",
    "How fast the restore that is under way reads changelogs; 0 when none is.",
    registry=registry,
)
recovery_seconds_remaining = Gauge(
    "reels_recovery_seconds_remaining",
    "How long the restore that is under way takes at that rate; 0 when none is.",
    registry=registry,
)
workers = Gauge(
    "reels_workers",
    "Workers in the group, as this one knows it.",
    registry=registry,
)
workers_lost = Gauge(
    "reels_workers_lost",
    "Workers that went from the group without leaving in order, in the last 15 minutes, and have "
    "not come back.",
    registry=registry,
)
workers_with_other_rules = Gauge(
    "reels_workers_with_other_rules",
    "Workers of the group whose windows, horizon, skew or viral rule are not this one's.",
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
batch_keys_asked = Counter(
    "reels_batch_keys_asked",
    "Keys that batches asked for, by table; counted by the worker that a client asked.",
    ["table"],
    registry=registry,
)
batch_keys = Counter(
    "reels_batch_keys",
    "The same keys by what was answered: found, unknown or unavailable.",
    ["table", "outcome"],
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

_PER_PARTITION = (lag_records, lag_seconds, recovery_remaining)


def keep_partitions(here: Collection[int]) -> None:
    """Remove the gauges of all partitions except those ``here``.

    Counters stay: they count what this worker has read, wherever a partition is now.
    """
    kept = {str(partition) for partition in here}
    for gauge in _PER_PARTITION:
        found = {
            sample.labels["partition"] for family in gauge.collect() for sample in family.samples
        }
        for partition in found - kept:
            gauge.remove(partition)


ingest_latency = BatchHistogram(
    "reels_ingest_latency_seconds",
    "From an event's record timestamp to its being applied.",
    (
        # Close enough for interpolation between two bounds to be useful.
        *(0.005, 0.01, 0.015, 0.025, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75),
        *(1.0, 1.5, 2.5, 3.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0),
    ),
)
registry.register(ingest_latency)
