"""Declaration of an entity: its counters, and how they are shown.

The declarations themselves are in models.counters.
"""

from collections.abc import Callable, Iterator
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, Final, Generic, NamedTuple, TypeVar, get_type_hints

import numpy.typing as npt

from models.panes import PaneRows
from models.quotients import Counters, Quotient
from models.schema import EVENT_TYPES, EventType, Metadata

Schema = dict[str, Any]

#: A position of 1. Positions are summed in whole billionths: the sum does not depend on their
#: order, and the error per position is at most half a billionth.
POSITION_UNITS: Final = 10**9

#: Amounts that an event may add to a counter, by name; accelerator.scan has the same order.
AMOUNTS: Final = ("one", "view_duration_ms", "positions", "video_position")


def amounts_of(metadata: Metadata) -> tuple[int, ...]:
    """Return an event's value of each of AMOUNTS, and a 0 for counters that it does not change."""
    position = metadata.video_position
    if position is None:
        return 1, metadata.view_duration_ms, 0, 0, 0
    return 1, metadata.view_duration_ms, 1, round(position * POSITION_UNITS), 0


class Format(NamedTuple):
    """How a number is shown: a JSON schema for programs, a function's name for people.

    The functions are those of dashboard/format.js.
    """

    schema: Schema
    text: str

    @property
    def is_whole(self) -> bool:
        """Whether the numbers are integers."""
        return "integer" in self.schema["type"]

    @property
    def is_nullable(self) -> bool:
        """Whether the number may be null."""
        return "null" in self.schema["type"]


COUNT: Final = Format({"type": "integer", "minimum": 0}, "count")
MINUTES: Final = Format({"type": "number", "minimum": 0}, "decimal")
RATIO: Final = Format({"type": "number", "minimum": 0}, "decimal")
RATIO_OR_NULL: Final = Format({"type": ["number", "null"], "minimum": 0}, "coefficient")
PART_OR_NULL: Final = Format(
    {"type": ["number", "null"], "minimum": 0, "maximum": 1}, "coefficient"
)


class Counter(NamedTuple):
    """One counter: it starts at 0, and stops at its maximum."""

    code: str
    """Its type code of struct: I (32 bits) or Q (64 bits)."""
    event_type: EventType
    """The type of the events that add to it."""
    amount: str = "one"
    """The amount per event, by its name in AMOUNTS."""
    since: int = 1
    """The first layout version that has it."""


class Shown(NamedTuple):
    """A field of an answer."""

    name: str
    format: Format
    label: str = ""
    """Its label for people; empty: the dashboard has no column for it."""
    of: str = ""
    """The attribute of the counts, if its name differs."""
    quotient: Quotient[Any] | None = None
    """The quotient that the attribute computes; None: the attribute is a counter."""

    def value(self, counts: object) -> int | float | None:
        """Return the field's value for one key's counts."""
        shown: int | float | None = getattr(counts, self.of or self.name)
        return shown

    def column(self, counters: Counters) -> npt.NDArray[Any]:
        """Return the field's values for many keys; NaN is None."""
        if self.quotient is not None:
            return self.quotient.column(counters)
        return counters[self.of or self.name]


C = TypeVar("C", bound=tuple[Any, ...])


class Entity(Generic[C]):
    """Something that is counted by key, pane and counter.

    ``counts`` is a NamedTuple of start_ms, end_ms and the counters, each annotated with a Counter.
    """

    def __init__(
        self,
        name: str,
        counts: type[C],
        *,
        version: int,
        answer: tuple[Shown, ...],
        steps: tuple[Shown, ...],
    ) -> None:
        """Derive the layouts; ValueError if the declaration is inconsistent.

        Arguments:
            name: singular name, such as ``user``.
            counts: declares the counters; its properties are derived from them.
            version: the layout version that is written.
            answer: the fields of a window.
            steps: the fields of a step of a series.
        """
        self.name = name
        self.plural = f"{name}s"
        self.key = f"{name}_id"
        """The field of the id, in events and in answers."""
        self.version = version
        self.older: Final = frozenset(range(1, version))
        """Older versions that can be read; values are always written with ``version``."""
        self.answer = answer
        self.steps = steps
        self._answer = _reader(answer)
        self.counters: Final[dict[str, Counter]] = dict(_declared(counts))
        self.counts: Final[Callable[..., C]] = counts
        sinces = [counter.since for counter in self.counters.values()]
        if sinces != sorted(sinces) or not 1 <= sinces[-1] <= version:
            raise ValueError("a new counter must follow the others and raise the version")
        self.rows: Final = self.rows_of(version)
        self.row_sizes: Final = {v: self.rows_of(v).size for v in range(1, version + 1)}
        """Bytes per row, by version."""
        self.added: Final = {kind: self._added_by(kind) for kind in EVENT_TYPES}
        """By event type: a function from an event's amounts to the increment of each counter."""
        self.nothing: Final = (0,) * len(self.counters)
        self.event_types: Final = frozenset(c.event_type for c in self.counters.values())

    def _added_by(self, event_type: str) -> Callable[[tuple[int, ...]], tuple[int, ...]]:
        return itemgetter(
            *(
                AMOUNTS.index(counter.amount) if counter.event_type == event_type else len(AMOUNTS)
                for counter in self.counters.values()
            )
        )

    def codes(self, version: int) -> str:
        """Return the struct type codes of a version's counters."""
        return "".join(c.code for c in self.counters.values() if c.since <= version)

    def rows_of(self, version: int) -> PaneRows:
        """Return the packed rows of a version."""
        return _pane_rows(self.codes(version))

    def renewed(self, rows: bytes, version: int) -> bytes:
        """Convert rows of a version to the newest one; missing counters are 0."""
        if version == self.version or not rows:
            return rows
        older = self.rows_of(version)
        if older is self.rows:
            return rows
        missing = self.nothing[len(self.codes(version)) :]
        return b"".join(self.rows.pack(*row, *missing) for row in older.items(rows))

    def increments(self, event_type: str, metadata: Metadata) -> tuple[int, ...]:
        """Return an event's increment of each counter."""
        return self.added[event_type](amounts_of(metadata))

    def total(self, rows: bytes, first: int, end: int, step: int) -> C:
        """Return the counts of the panes first <= p < end, of ``step`` ms each."""
        return self.counts_of(first, end, step, self.rows.total(rows, first, end))

    def counts_of(self, first: int, end: int, step: int, sums: tuple[int, ...]) -> C:
        """Return the counts of these panes from their sums."""
        return self.counts(first * step, end * step, *sums)

    def each(self, rows: bytes, first: int, end: int, step: int) -> list[C]:
        """Return the counts of each of these panes that has a row, oldest first."""
        return [
            self.counts(row[0] * step, (row[0] + 1) * step, *row[1:])
            for row in self.rows.items(rows)
            if first <= row[0] < end
        ]

    def describe(self, counts: C) -> dict[str, Any]:
        """Return the fields of a window, as answers show them."""
        return self._answer(counts)

    def describe_step(self, counts: C) -> dict[str, Any]:
        """Return the fields of a step of a series."""
        return {shown.name: shown.value(counts) for shown in self.steps}


def schemas(fields: tuple[Shown, ...]) -> dict[str, Schema]:
    """Return the JSON schemas of fields by their names."""
    return {shown.name: shown.format.schema for shown in fields}


def _reader(fields: tuple[Shown, ...]) -> Callable[[object], dict[str, Any]]:
    """Return a reader of two or more fields, twice as fast as reading each by itself."""
    names = [shown.name for shown in fields]
    values = attrgetter(*(shown.of or shown.name for shown in fields))
    return lambda counts: dict(zip(names, values(counts), strict=True))


@cache
def _pane_rows(codes: str) -> PaneRows:
    return PaneRows(codes)


def _declared(counts: type) -> Iterator[tuple[str, Counter]]:
    for name, hint in get_type_hints(counts, include_extras=True).items():
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Counter):
                yield name, note
