"""Shapes of ``--json`` output: one object, or one per line for ``dead-letters``.

Fields may be added to these shapes. No field is removed or changes its meaning.
"""

from __future__ import annotations

from typing import Any

import click
import msgspec


class Lag(msgspec.Struct, forbid_unknown_fields=True):
    """Number of records not yet applied, and the age of the oldest one; null: unknown."""

    records: int | None
    seconds: float | None


class WorkerStatus(msgspec.Struct, forbid_unknown_fields=True):
    """One worker; ``obstacle`` says why it is not ready."""

    url: str
    state: str
    obstacle: str | None
    partitions: list[int]
    events_per_second: float | None
    lag: Lag | None
    uptime_s: float | None


class PartitionStatus(msgspec.Struct, forbid_unknown_fields=True):
    """One partition; ``recovery_records`` counts the records still to restore."""

    number: int
    worker: str | None
    state: str
    lag: Lag | None
    recovery_records: int | None


class Status(msgspec.Struct, forbid_unknown_fields=True):
    """``faust -A app --json status``; ``well`` is true if the exit code is 0."""

    well: bool
    time: str
    events_per_second: float | None
    lag: Lag
    viral: int | None
    workers: list[WorkerStatus]
    partitions: list[PartitionStatus]
    troubles: list[str]
    """Problems besides the states of workers and partitions: the last lines of text output."""


class Compared(msgspec.Struct, forbid_unknown_fields=True):
    """Number of compared keys, and how many of them differ."""

    compared: int
    differ: int


class DifferentCount(msgspec.Struct, forbid_unknown_fields=True):
    """A count of a table, and the least and the most that the input allows."""

    what: str
    start: str
    counter: str
    found: int
    least: int
    most: int


class Audit(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``faust -A app --json audit``; ``clean`` is true if the exit code is 0.

    ``differences`` holds the first ``--show`` of ``total_differences``.
    """

    clean: bool
    records: int
    outcomes: dict[str, int]
    users: Compared
    videos: Compared
    creators: Compared | None = None
    """None: the app has no such table."""
    total_differences: int
    differences: list[DifferentCount]
    notes: list[str]


class TopicSetting(msgspec.Struct, forbid_unknown_fields=True):
    """A setting of a topic; ``verdict`` is ok, unwise or wrong, and ``command`` corrects it."""

    setting: str
    value: str
    verdict: str
    reason: str | None
    command: str | None


class TopicStatus(msgspec.Struct, forbid_unknown_fields=True):
    """A topic of the program; ``settings`` is empty without ``--check``."""

    name: str
    exists: bool
    partitions: int
    settings: list[TopicSetting]


class Topics(msgspec.Struct, forbid_unknown_fields=True):
    """``faust -A app --json topics``; ``well`` is false if a worker would not start."""

    well: bool
    topics: list[TopicStatus]


class Place(msgspec.Struct, forbid_unknown_fields=True):
    """The place of a record."""

    topic: str
    partition: int
    offset: int


class DeadLetter(msgspec.Struct, forbid_unknown_fields=True):
    """One line of ``faust -A app --json dead-letters``.

    ``place`` is that of the dead letter, ``source`` that of the rejected record. ``key`` and
    ``value`` are null if they are not UTF-8; ``value_base64`` then holds the value's bytes.
    """

    place: Place
    source: Place
    reason: str
    detail: str
    rejected_at: str
    event_id: str | None
    key: str | None
    value: str | None
    value_base64: str | None
    whole: bool


class SizedWorkers(msgspec.Struct, forbid_unknown_fields=True):
    """Number of workers, and what each of them needs; ``cpu_share`` is of one core."""

    count: int
    cpu_share: float
    events_per_s: float
    users: float
    memory_bytes: float
    resident_bytes: float
    cache_bytes: float
    disk_bytes: float
    in_bytes_per_s: float
    out_bytes_per_s: float
    restore_s: float


class SizedBrokers(msgspec.Struct, forbid_unknown_fields=True):
    """Number of brokers, and what each of them needs; ``cores`` are those in use."""

    count: int
    cores: float
    disk_bytes: float
    written_bytes_per_s: float
    in_bytes_per_s: float
    out_bytes_per_s: float


class SentBytes(msgspec.Struct, forbid_unknown_fields=True):
    """Bytes/s to the brokers, one copy each: events, sums, and the changelogs by table."""

    events: float
    sums: float
    users: float
    videos: float
    creators: float


class SizeLimit(msgspec.Struct, forbid_unknown_fields=True):
    """A part that gives way at so many times the load, with more workers or with those planned."""

    part: str
    at_times: float
    remedy: str
    with_more_workers: bool


class SizeCost(msgspec.Struct, forbid_unknown_fields=True):
    """A cost: one value, or those of its curve; ``own``: from the file of ``--costs``."""

    name: str
    values: list[float]
    unit: str
    cases: str
    own: bool


class Size(msgspec.Struct, forbid_unknown_fields=True):
    """``faust -A app --json size``; ``limits`` begins with what gives way first."""

    events_per_s: int
    users: int
    values_read_per_s: int
    partitions: int
    commit_interval_s: float
    markers_per_s: float
    workers: SizedWorkers
    brokers: SizedBrokers
    sent_bytes_per_s: SentBytes
    limits: list[SizeLimit]
    assumptions: list[str]
    costs: list[SizeCost]
    origins: list[str]


def print_json(shape: msgspec.Struct) -> None:
    """Print a shape as one line."""
    click.echo(msgspec.json.encode(shape).decode())


def status(figures: dict[str, Any], *, well: bool, troubles: list[str]) -> Status:
    """Return a worker's figures of all workers in the shape that ``status`` prints."""
    return Status(
        well=well,
        time=figures["time"],
        events_per_second=figures["rate"],
        lag=_lag(figures["lag"]) or Lag(None, None),
        viral=(figures["viral"] or {}).get("count"),
        workers=[
            WorkerStatus(
                url=each["url"],
                state=each["state"],
                obstacle=each.get("obstacle"),
                partitions=each["partitions"],
                events_per_second=each.get("rate"),
                lag=_lag(each.get("lag")),
                uptime_s=each.get("uptime_s"),
            )
            for each in figures["workers"]
        ],
        partitions=[
            PartitionStatus(
                number=each["number"],
                worker=each["worker"],
                state=each["state"],
                lag=_lag(each.get("lag")),
                recovery_records=each.get("remaining"),
            )
            for each in figures["partitions"]
        ],
        troubles=troubles,
    )


def _lag(lag: dict[str, Any] | None) -> Lag | None:
    return None if lag is None else Lag(lag.get("records"), lag.get("seconds"))
