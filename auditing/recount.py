"""Recount of users, and of sums for other keys, event by event, from the input topic.

Events from another partition than their user's are counted where their copies were. If that place
is no longer known, an event with a repeated id may or may not have counted, depending on the
stream time.

The recount keeps two results: up to the offsets that the tables certainly contain (``sure``), and
up to those that they may contain (``most``). Both are equal if no events arrive.
"""

from __future__ import annotations

from collections import Counter
from operator import add
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from auditing.spill_map import id_key, pane_key
from models.counters import USER
from models.event import Rejected, decode, id_hash, timestamp_ms
from models.partitioner import partition_of
from models.user import UserWindows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from auditing.merging import Arrival
    from auditing.spill_map import SpillMap
    from auditing.summed import Sums
    from models.event import Event
    from settings import Settings

_REPEATED: Final = Struct(f"<{len(USER.counters)}Q")
_NOT_REPEATED: Final = bytes(_REPEATED.size)

#: The longest possible horizon, in ms.
LONGEST_HORIZON: Final = 2**31 - 1


class Span(NamedTuple):
    """Offsets of one partition: a table has all events before ``sure``, none from ``most`` on."""

    sure: int
    most: int


class Spans(NamedTuple):
    """The spans of one partition in both topics of events."""

    input: Span
    passed_on: Span


def spans_of(
    partition: int,
    sure: tuple[dict[int, int], dict[int, int]],
    most: tuple[dict[int, int], dict[int, int]],
) -> Spans:
    """Return the spans of ``partition`` from offsets by partition, of both topics."""
    return Spans(*(Span(s[partition], m[partition]) for s, m in zip(sure, most, strict=True)))


class Refused(NamedTuple):
    """Offsets of the events of one partition that were ahead of the clock, in both topics."""

    input: Collection[int]
    passed_on: Collection[int]


class _Rows:
    """Users and their sealed ids; changes go to one of two maps."""

    def __init__(self, recount: PartitionRecount, changes: SpillMap) -> None:
        self.get = recount.most
        self._changes = changes

    def __setitem__(self, key: bytes, row: bytes | None) -> None:
        self._changes.put(key, row)


class PartitionRecount:
    """One partition of the events, and its users."""

    def __init__(
        self,
        partition: int,
        settings: Settings,
        windows: UserWindows,
        sums: Sequence[Sums],
        refused: Refused,
        spans: tuple[Spans, Spans],
        sure: SpillMap,
        changed: SpillMap,
        repeated: SpillMap | None,
    ) -> None:
        """Begin empty.

        Arguments:
            partition: its number.
            settings: the settings of the workers.
            windows: the functions on users' values.
            sums: receive the counts of other keys, one per table.
            refused: the events that were ahead of the clock when they were read.
            spans: offsets in the users' table, and in the tables of sums.
            sure: an empty map for users.
            changed: an empty map for users with events beyond ``sure``.
            repeated: an empty map for events with repeated ids; None if the order of all events
                is known.
        """
        self.outcomes: Counter[str] = Counter()
        self.sure = sure
        self.changed = changed
        self.stream_time: int | None = None
        self._partition = partition
        self._partitions = settings.partitions
        self._windows = (
            windows if repeated is None else UserWindows(windows.slices, LONGEST_HORIZON)
        )
        self._repeated = repeated
        self._sums = sums
        self._refused = refused
        self._users_hold, self._sums_hold = spans
        #: Whether the table certainly contains every event counted so far.
        self._is_sure = True

    def most(self, key: bytes) -> bytes | None:
        """Return a user's value, or sealed ids, with every event that the table may contain."""
        return self.changed.get(key) or self.sure.get(key)

    def add(self, offset: int, event: Event | Rejected, home: int) -> None:
        """Count the next record of the input, whose user's partition is ``home``."""
        is_refused = offset in self._refused.input
        spans = self._users_hold.input, self._sums_hold.input
        self.outcomes[self._fold(event, home, offset, is_refused, *spans)] += 1

    def fold_passed_on(self, arrivals: Iterable[Arrival]) -> int:
        """Count the next events from other partitions; return their number."""
        spans = self._users_hold.passed_on, self._sums_hold.passed_on
        count = 0
        for count, (offset, _, value) in enumerate(arrivals, 1):  # noqa: B007 - it is returned
            is_refused, event = offset in self._refused.passed_on, decode(value)
            home = -1
            if not isinstance(event, Rejected):
                home = partition_of(event.user_id, self._partitions)
            self.outcomes[self._fold(event, home, offset, is_refused, *spans)] += 1
        return count

    def _fold(
        self,
        event: Event | Rejected,
        home: int,
        offset: int,
        is_refused: bool,  # noqa: FBT001
        users: Span,
        summed: Span,
    ) -> str:
        self._is_sure = self._is_sure and offset < users.sure
        if is_refused or isinstance(event, Rejected):
            return "rejected"
        if home != self._partition:
            return "rekeyed"
        t_ms = timestamp_ms(event.timestamp)
        if self._windows.is_late(t_ms, self.stream_time):
            return "late"
        now = t_ms if self.stream_time is None else max(t_ms, self.stream_time)
        key = id_key(event.user_id)
        rows = _Rows(self, self.sure if self._is_sure else self.changed)
        if not self._windows.apply(
            *(rows, key, USER.increments(event.event_type, event.metadata), t_ms),
            *(id_hash(event.event_id), now),
        ):
            if self._repeated is not None:
                self._repeat(event, t_ms)
                self._count(event, t_ms, offset, summed._replace(sure=-1))
            return "duplicate"
        self.stream_time = now
        self._count(event, t_ms, offset, summed)
        return "applied"

    def _count(self, event: Event, t_ms: int, offset: int, summed: Span) -> None:
        if offset < summed.most:
            for sums in self._sums:
                sums.count(event, t_ms, sure=offset < summed.sure)

    def _repeat(self, event: Event, t_ms: int) -> None:
        assert self._repeated is not None  # noqa: S101 - for the types
        key = pane_key(event.user_id, t_ms // self._windows.slices.step)
        counts = _REPEATED.unpack(self._repeated.get(key) or _NOT_REPEATED)
        more = USER.increments(event.event_type, event.metadata)
        self._repeated.put(key, _REPEATED.pack(*map(add, counts, more)))

    def repeated(self, user_id: int, start_ms: int) -> tuple[int, ...]:
        """Return the most that events with repeated ids may add to a user's pane."""
        if self._repeated is None:
            return USER.nothing
        key = pane_key(user_id, start_ms // self._windows.slices.step)
        return _REPEATED.unpack(self._repeated.get(key) or _NOT_REPEATED)

    def close(self) -> None:
        """Forget everything."""
        for values in (self.sure, self.changed, self._repeated):
            if values is not None:
                values.close()
