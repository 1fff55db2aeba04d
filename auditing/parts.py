"""Parts of an audit: names of topics, storage for counts, progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from auditing.passed_on import KINDS as PASSED_ON_KINDS
from auditing.spill_map import SpillMap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from auditing.summed import SummedTable

#: Maps of users and events that exist at the same time.
KINDS = (
    *("users", "sure-users", "changed-users", "repeated-users"),
    *("copies", *PASSED_ON_KINDS),
)


class Names(msgspec.Struct, frozen=True):
    """The topics that an audit reads."""

    events: str
    repartition: str
    order: str
    dead_letters: str
    deltas: Mapping[str, str]
    """Topics of deltas, by table."""
    changelogs: Mapping[str, str]
    """Changelog topics, by table."""

    def all(self) -> list[str]:
        """Return all topics."""
        own = [self.events, self.repartition, self.order, self.dead_letters]
        return [*own, *self.deltas.values(), *self.changelogs.values()]


class Progress(Protocol):
    """Receives the audit's progress, in records."""

    def begin(self, what: str, total: int) -> None:
        """Start the next step."""

    def advance(self, count: int) -> None:
        """Report more records of the current step."""


class SpillStore:
    """Divides the memory among maps that spill to disk."""

    def __init__(self, folder: Path, memory: int, tables: Sequence[SummedTable]) -> None:
        """Share ``memory`` bytes among :data:`KINDS` and ``tables``; the rest goes to ``folder``.

        Each table has two maps at the same time: its content and its recount.
        """
        self._folder = folder
        self._limit = memory // (len(KINDS) + 2 * len(tables))

    def new_map(self, kind: str) -> SpillMap:
        """Return an empty map of a kind."""
        return SpillMap(self._folder / kind, self._limit)
