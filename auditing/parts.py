"""What an audit works with: the topics' names, room for what it counts, and who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from auditing.passed_on import KINDS as PASSED_ON_KINDS
from auditing.values import Values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from auditing.summed import SummedTable

#: What is counted or read of users and events at the same time.
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
    """Sums on their way to tables, by the table's name."""
    changelogs: Mapping[str, str]
    """By the table's name."""

    def all(self) -> list[str]:
        """Return all of them."""
        own = [self.events, self.repartition, self.order, self.dead_letters]
        return [*own, *self.deltas.values(), *self.changelogs.values()]


class Progress(Protocol):
    """Is told how far the audit is, in records."""

    def begin(self, what: str, total: int) -> None:
        """Say what is done next."""

    def advance(self, count: int) -> None:
        """Say how much of it was done since."""


class Shelf:
    """Gives each kind of values its share of the memory."""

    def __init__(self, folder: Path, memory: int, tables: Sequence[SummedTable]) -> None:
        """Share ``memory`` bytes among :data:`KINDS` and ``tables``; the rest goes to ``folder``.

        Of each table what it says and what the input says is kept at the same time.
        """
        self._folder = folder
        self._limit = memory // (len(KINDS) + 2 * len(tables))

    def values(self, kind: str) -> Values:
        """Return empty values of a kind."""
        return Values(self._folder / kind, self._limit)
