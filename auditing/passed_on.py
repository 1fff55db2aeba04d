"""What lay in another partition than its user's, held against the copies that count in its place.

A copy in the repartition topic is deleted some time after it was counted, and the input may hold
the original for longer: then that is what is recounted. Releases up to 6e02854 wrote their copies
into the input, where they count: an original of theirs is one more event with the same id.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from xxhash import xxh3_128_digest

from auditing.merging import Arrival
from models.event import Rejected, decode
from models.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence

    from auditing.reading import Topics
    from auditing.values import Values
    from streaming.batch import Record

#: What is kept of misplaced events: how many that are equal have no copy, how many of those were
#: collected, and those events themselves.
KINDS: Final = ("lacking", "collected", "gone")

_COUNT: Final = Struct("<q")
_NONE: Final = _COUNT.pack(0)
#: Home partition, record timestamp in ms, partition and offset in the input.
_PLACE: Final = Struct(">IqIQ")


class Input(NamedTuple):
    """The input topic, as far as it is recounted."""

    name: str
    begins: Mapping[int, int]
    ends: Mapping[int, int]
    refused: Mapping[int, Collection[int]]
    """Offsets of events that were ahead of the clock, by partition."""


class PassedOn:
    """Finds the misplaced events that have no copy."""

    def __init__(self, topics: Topics, source: Input, shelf: Callable[[str], Values]) -> None:
        """Read through ``topics``; ``shelf`` gives empty values of each of :data:`KINDS`."""
        self.oldest: dict[int, int] = {}
        """Timestamp in ms of the first record that is left in the input, by partition."""
        self._topics = topics
        self._source = source
        self._lacking, self._collected, self._gone = map(shelf, KINDS)

    async def find(self, copies: str) -> int:
        """Compare the input with the topic ``copies``; return how many events have none there."""
        topics = self._topics
        begins, ends = await topics.begins(copies), await topics.ends(copies)
        for home, end in ends.items():
            async for records in topics.read(copies, home, begins[home], end):
                for record in records:
                    _add(self._lacking, _digest(home, record), -1)
        missing = 0
        async for partition, records in self._read_input():
            if records:
                self.oldest.setdefault(partition, records[0].timestamp)
            for home, record in self._misplaced(partition, records):
                missing += _add(self._lacking, _digest(home, record), 1) > 0
        if missing:
            await self._collect()
        return missing

    async def _collect(self) -> None:
        """Keep the events without a copy: of equal ones the first, whose copies went first."""
        async for partition, records in self._read_input():
            for home, record in self._misplaced(partition, records):
                digest = _digest(home, record)
                lacking = _count(self._lacking, digest)
                if lacking > 0 and _add(self._collected, digest, 1) <= lacking:
                    place = _PLACE.pack(home, record.timestamp, partition, record.offset)
                    self._gone.put(place, record.value)

    def gone(self) -> Iterator[tuple[int, Arrival]]:
        """Yield the events without a copy, each with its user's partition.

        In the order of the partitions, and in each in that of the events' record timestamps.
        """
        for key in self._gone:
            home, timestamp, *_ = _PLACE.unpack(key)
            yield home, Arrival(-1, timestamp, self._gone.get(key))

    async def _read_input(self) -> AsyncIterator[tuple[int, Sequence[Record]]]:
        source = self._source
        for partition, end in source.ends.items():
            read = self._topics.read(source.name, partition, source.begins[partition], end)
            async for records in read:
                yield partition, records

    def _misplaced(self, partition: int, records: Sequence[Record]) -> Iterator[tuple[int, Record]]:
        """Yield the events that lie in another partition than their user's, each with that one."""
        refused, partitions = self._source.refused[partition], len(self._source.ends)
        for record in records:
            event = decode(record.value)
            if isinstance(event, Rejected) or record.offset in refused:
                continue
            home = partition_of(event.user_id, partitions)
            if home != partition:
                yield home, record

    def close(self) -> None:
        """Forget everything."""
        for values in (self._lacking, self._collected, self._gone):
            values.close()


def _digest(home: int, record: Record) -> bytes:
    return xxh3_128_digest(record.value or b"", seed=home)


def _count(values: Values, digest: bytes) -> int:
    count: int = _COUNT.unpack(values.get(digest) or _NONE)[0]
    return count


def _add(values: Values, digest: bytes, count: int) -> int:
    total = _count(values, digest) + count
    values.put(digest, _COUNT.pack(total))
    return total
