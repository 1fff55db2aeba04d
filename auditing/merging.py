"""The events of a partition in the order in which a worker counted them.

Events from other partitions are in the repartition topic, and the order topic says when they were
counted (:mod:`models.merge_order`). If either was deleted, an event is placed by its record
timestamp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from models.merge_order import unpack_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from auditing.spill_map import SpillMap
    from models.merge_order import Pair
    from streaming.kafka.records import Record

T = TypeVar("T")

_TIME_SIZE: Final = 8


class Arrival(NamedTuple):
    """An event from another partition than its user's."""

    offset: int
    """Offset in the repartition topic; -1 if it was deleted there."""
    timestamp: int
    value: bytes | None


class Copies:
    """The passed-on events of one partition, and when each was counted."""

    def __init__(self, values: SpillMap) -> None:
        """Begin empty; the events are stored in ``values``."""
        self.values = values
        self.count = 0
        self._pairs: list[Pair] = []
        self._named_from = 0

    def add(self, records: Sequence[Record]) -> None:
        """Add the next records of the repartition topic."""
        self.count += len(records)
        for record in records:
            time = record.timestamp.to_bytes(_TIME_SIZE, signed=True)
            key = record.offset.to_bytes(8)
            # A record without a value is no event, and neither is an empty value.
            self.values.put(key, time + (record.value or b""))

    def set_order(self, values: Iterable[bytes | None], *, is_whole: bool) -> None:
        """Add the partition's order records; without ``is_whole`` the first ones are missing."""
        self._pairs = unpack_order(values)
        if not is_whole and self._pairs:
            (_, self._named_from), *self._pairs = self._pairs

    def unnamed(self) -> Iterator[Arrival]:
        """Yield events without an order record."""
        end = self._pairs[-1][1] if self._pairs else 0
        for arrival in self._arrivals():
            if arrival.offset < self._named_from or arrival.offset >= end:
                yield arrival

    def named(self) -> Iterator[tuple[int, Arrival]]:
        """Yield events with an order record, each with the input offset before which it counts."""
        pairs = iter(self._pairs)
        at, end = next(pairs, (0, 0))
        for arrival in self._arrivals():
            if arrival.offset < self._named_from:
                continue
            while arrival.offset >= end:
                following = next(pairs, None)
                if following is None:
                    return
                at, end = following
            yield at, arrival

    def _arrivals(self) -> Iterator[Arrival]:
        for key in self.values:
            stored = self.values.get(key) or bytes(_TIME_SIZE)
            time = int.from_bytes(stored[:_TIME_SIZE], signed=True)
            yield Arrival(int.from_bytes(key), time, stored[_TIME_SIZE:])


class Merge:
    """Yields, per record of the input, the passed-on events that count before it."""

    def __init__(self, by_time: Iterable[Arrival], by_place: Iterable[tuple[int, Arrival]]) -> None:
        """Merge events placed by timestamp with events placed by offset; the former go first."""
        self._by_time = Ahead(by_time)
        self._by_place = Ahead(by_place)

    @property
    def is_known(self) -> bool:
        """Whether the order is exact; valid before the first record."""
        return self._by_time.head is None

    def before(self, record: Record) -> Iterator[Arrival]:
        """Yield the events that count directly before ``record``."""
        placed = self._by_place.head
        if placed is not None and placed[0] <= record.offset:
            yield from self._by_time.rest()
        while (timed := self._by_time.head) is not None and timed.timestamp <= record.timestamp:
            yield self._by_time.pop()
        while (placed := self._by_place.head) is not None and placed[0] <= record.offset:
            yield self._by_place.pop()[1]

    def after_all(self) -> Iterator[Arrival]:
        """Yield the events after the last record of the input."""
        yield from self._by_time.rest()
        for _, arrival in self._by_place.rest():
            yield arrival


class Ahead(Generic[T]):
    """An iterator whose next item can be inspected."""

    def __init__(self, items: Iterable[T]) -> None:
        """Wrap ``items``."""
        self._items = iter(items)
        self.head = next(self._items, None)

    def pop(self) -> T:
        """Return the next item; there must be one."""
        head, self.head = self.head, next(self._items, None)
        assert head is not None, "nothing is left"  # noqa: S101 - a fault of ours
        return head

    def rest(self) -> Iterator[T]:
        """Yield the remaining items."""
        while self.head is not None:
            yield self.pop()
