"""The result of an audit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from auditing.comparison import Difference  # noqa: TC001 - msgspec reads the type

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Differences kept in a report; all are counted.
KEPT_DIFFERENCES = 1000


@dataclass
class Report:
    """Numbers of compared keys, and their differences."""

    records: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=lambda: Counter(users=0))
    """How many keys were compared, by kind: ``users``, ``videos``, ``creators``."""
    differing: Counter[str] = field(default_factory=Counter)
    """Those of them with a difference."""
    differences: list[Difference] = field(default_factory=list)
    """The first differences, up to KEPT_DIFFERENCES."""
    total: int = 0
    """The number of differences."""
    notes: list[str] = field(default_factory=list)
    """Limits of the comparison, with reasons."""

    @classmethod
    def read(cls, content: bytes) -> Report:
        """Return the report that :meth:`packed` has made."""
        return msgspec.json.decode(content, type=cls, dec_hook=_counter)

    def packed(self) -> bytes:
        """Return it as bytes, for another process."""
        return msgspec.json.encode(self)

    @property
    def is_clean(self) -> bool:
        """Whether nothing differs."""
        return not self.differing

    def take(self, kind: str, compared: Iterable[list[Difference]]) -> None:
        """Note the differences of the keys of one kind, a list for each."""
        self.compared[kind] += 0
        for differences in compared:
            self.compared[kind] += 1
            if differences:
                self.total += len(differences)
                self.differing[kind] += 1
                self.differences += differences[: KEPT_DIFFERENCES - len(self.differences)]

    def add(self, other: Report) -> None:
        """Add the report of other partitions."""
        self.records += other.records
        self.outcomes += other.outcomes
        self.compared.update(other.compared)
        self.differing += other.differing
        self.differences += other.differences[: KEPT_DIFFERENCES - len(self.differences)]
        self.total += other.total
        self.notes += [note for note in other.notes if note not in self.notes]


def _counter(_: type, counts: Any) -> Counter[str]:
    """Return what msgspec does not make of a dict by itself."""
    return Counter(counts)
