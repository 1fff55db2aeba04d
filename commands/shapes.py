"""What commands print with ``--json``: one object, or for ``dead-letters`` one on each line.

Fields may be added to these shapes. None goes away or changes its meaning.
"""

from __future__ import annotations

from typing import Any

import click
import msgspec


class Lag(msgspec.Struct, forbid_unknown_fields=True):
    """Records that are not applied yet, and the age of the oldest of them; null: not known."""

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
    """One partition; ``recovery_records`` are those still to be read."""

    number: int
    worker: str | None
    state: str
    lag: Lag | None
    recovery_records: int | None


class Status(msgspec.Struct, forbid_unknown_fields=True):
    """``faust -A app --json status``; ``well`` goes with exit code 0."""

    well: bool
    time: str
    events_per_second: float | None
    lag: Lag
    viral: int | None
    workers: list[WorkerStatus]
    partitions: list[PartitionStatus]
    troubles: list[str]
    """What is wrong besides the states of workers and partitions: the last lines of the text."""


class Compared(msgspec.Struct, forbid_unknown_fields=True):
    """Keys that were compared, and how many of them differ."""

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
    """``faust -A app --json audit``; ``clean`` goes with exit code 0.

    ``differences`` are the first ones, as many as ``--show`` says, of ``total_differences``.
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
    """A setting of a topic; ``verdict``: ok, unwise or wrong, with the command that corrects it."""

    setting: str
    value: str
    verdict: str
    reason: str | None
    command: str | None


class TopicStatus(msgspec.Struct, forbid_unknown_fields=True):
    """A topic of the program; ``settings`` only with ``--check``."""

    name: str
    exists: bool
    partitions: int
    settings: list[TopicSetting]


class Topics(msgspec.Struct, forbid_unknown_fields=True):
    """``faust -A app --json topics``; ``well`` is false when a worker would not start."""

    well: bool
    topics: list[TopicStatus]


class Place(msgspec.Struct, forbid_unknown_fields=True):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


class DeadLetter(msgspec.Struct, forbid_unknown_fields=True):
    """One line of ``faust -A app --json dead-letters``.

    ``place`` is that of the dead letter, ``source`` that of the rejected record. ``key`` and
    ``value`` are text where they are UTF-8, else null; ``value_base64`` is then the bytes.
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


def print_json(shape: msgspec.Struct) -> None:
    """Print a shape as one line."""
    click.echo(msgspec.json.encode(shape).decode())


def status(figures: dict[str, Any], *, well: bool, troubles: list[str]) -> Status:
    """Return what a worker tells of all workers, as ``status`` prints it."""
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
