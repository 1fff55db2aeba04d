"""Samples of a soak's counts and sizes, and the figures of the time between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from benchmarks.rig.figures import percentiles

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """Counts since the start, and sizes, at one moment."""

    at_s: float
    """Seconds on the clock."""
    events: int
    """Committed events."""
    lag: int
    """Events that are sent and not committed."""
    workers_cpu_s: float
    broker_cpu_s: float
    sender_cpu_s: float
    changelog_bytes: float
    """Bytes sent to the changelogs."""
    memory: dict[str, int]
    """Bytes by worker, of those that run."""
    tables: int
    """Bytes on the workers' disks."""
    changelogs: int
    """Bytes on the broker's disk; 0 if that is unknown, as for ``input``."""
    input: int


def figures(samples: Sequence[Sample], user_ms: Sequence[float]) -> dict[str, float]:
    """Return the figures of the time from the first to the last of ``samples``.

    ``user_ms``: ages of users' answers within that time, in milliseconds. Memory is the largest
    sample; disk space is the mean, because compactions let it swing.

    Without a committed event within that time, there are no figures per event.
    """
    first, last = samples[0], samples[-1]
    events = last.events - first.events
    names = sorted({name for sample in samples for name in sample.memory})
    return {
        "events/s": events / (last.at_s - first.at_s),
        "lag events max": max(sample.lag for sample in samples),
        **percentiles(user_ms, "user ms"),
        **(_per_event(first, last) if events else {}),
        **{f"worker {name} MiB": _largest(samples, name) / MIB for name in names},
        "tables MiB": mean(sample.tables for sample in samples) / MIB,
        "changelogs MiB": mean(sample.changelogs for sample in samples) / MIB,
        "input MiB": last.input / MIB,
    }


def _per_event(first: Sample, last: Sample) -> dict[str, float]:
    events = last.events - first.events
    return {
        "workers us/event": 1e6 * (last.workers_cpu_s - first.workers_cpu_s) / events,
        "broker us/event": 1e6 * (last.broker_cpu_s - first.broker_cpu_s) / events,
        "sender us/event": 1e6 * (last.sender_cpu_s - first.sender_cpu_s) / events,
        "changelog bytes/event": (last.changelog_bytes - first.changelog_bytes) / events,
    }


def _largest(samples: Sequence[Sample], name: str) -> int:
    return max(sample.memory.get(name, 0) for sample in samples)
