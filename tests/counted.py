"""Increments of counters, for tests that call the functions on packed values directly."""

from __future__ import annotations

from models.counters import USER, VIDEO
from models.schema import Metadata


def of_user(kind: str, watched: int = 0, position: float | None = None) -> tuple[int, ...]:
    """Return the increments that an event makes to a user's counters."""
    return USER.increments(kind, Metadata(watched, position))


def of_video(*counts: int) -> tuple[int, ...]:
    """Return ``counts`` for the first counters of a video, and 0 for the others."""
    return (*counts, *VIDEO.nothing[len(counts) :])
