"""What reached its partition through the repartition topic, held against what is left of it there.

That is what lay in another partition than its user's, and dead letters that were replayed.

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
    from auditing.replayed import Done
    from auditing.values import Values
    from streaming.kafka.records import Record

#: What is kept of misplaced events: how many that are equal have no copy, how many of those were
#: collected, and those events themselves.
KINDS: Final = ("lacking", "collected", "gone")

_COUNT: Final = Struct("<q")
_NONE: Final = _COUNT.pack(0)
#: Home partition, record timestamp in ms, and where an event lies: in the input or (1) the dead
#: letters, in which partition, at which offset.
_PLACE: Final = Struct(">IqBIQ")


class Input(NamedTuple):
    """The input topic, as far as it is recounted."""

    name: str
    begins: Mapping[int, int]
    ends: Mapping[int, int]
    refused: Mapping[int, Collection[int]]
    """Offsets of events that were ahead of the clock, by partition."""


class Replayed(NamedTuple):
    """The dead letters that were replayed."""

    topic: str
    done: Mapping[bytes, Mapping[int, Done]]
    """Which of a reason were, by partition."""
    sources: Collection[bytes]
    """Topics from which they have to come: others' dead letters may lie there as well."""


class PassedOn:
    """Finds the events that were passed on and have no copy."""

    def __init__(
        self, topics: Topics, source: Input, replayed: Replayed, shelf: Callable[[str], Values]
    ) -> None:
        """Read through ``topics``; ``shelf`` gives empty values of each of :data:`KINDS`."""
        self.oldest: dict[int, int] = {}
        """Timestamp in ms of the first record that is left in the input, by partition."""
        self._topics = topics
        self._source = source
        self._replayed = replayed
        self._lacking, self._collected, self._gone = map(shelf, KINDS)

    async def find(self, copies: str) -> int:
        """Compare all that with the topic ``copies``; return how many events have none there."""
        topics = self._topics
        begins, ends = await topics.begins(copies), await topics.ends(copies)
        for home, end in ends.items():
            async for records in topics.read(copies, home, begins[home], end):
                for record in records:
                    _add(self._lacking, _digest(home, record), -1)
        missing = 0
        async for home, _, record in self._originals():
            missing += _add(self._lacking, _digest(home, record), 1) > 0
        if missing:
            await self._collect()
        return missing

    async def _collect(self) -> None:
        """Keep the events without a copy: of equal ones the first, whose copies went first."""
        async for home, place, record in self._originals():
            digest = _digest(home, record)
            lacking = _count(self._lacking, digest)
            if lacking > 0 and _add(self._collected, digest, 1) <= lacking:
                key = _PLACE.pack(home, record.timestamp, *place, record.offset)
                self._gone.put(key, record.value)

    def gone(self) -> Iterator[tuple[int, Arrival]]:
        """Yield the events without a copy, each with its user's partition.

        In the order of the partitions, and in each in that of the events' record timestamps.
        """
        for key in self._gone:
            home, timestamp, *_ = _PLACE.unpack(key)
            yield home, Arrival(-1, timestamp, self._gone.get(key))

    async def _originals(self) -> AsyncIterator[tuple[int, tuple[int, int], Record]]:
        """Yield each event that was passed on, with its user's partition and where it lies."""
        source = self._source
        for partition, end in source.ends.items():
            refused, begin = source.refused[partition], source.begins[partition]
            async for records in self._topics.read(source.name, partition, begin, end):
                if records:
                    self.oldest.setdefault(partition, records[0].timestamp)
                for home, record in self._with_home(records):
                    if home != partition and record.offset not in refused:
                        yield home, (0, partition), record
        async for partition, records in self._read_replayed():
            for home, record in self._with_home(records):
                yield home, (1, partition), record

    async def _read_replayed(self) -> AsyncIterator[tuple[int, list[Record]]]:
        topic, done, sources = self._replayed
        begins = await self._topics.begins(topic)
        for partition, begin in begins.items():
            end = max(of_reason[partition].end for of_reason in done.values())
            async for records in self._topics.read(topic, partition, begin, max(begin, end)):
                headers = [dict(record.headers) for record in records]
                yield (
                    partition,
                    [
                        record
                        for record, each in zip(records, headers, strict=True)
                        if each.get("source.topic") in sources
                        and record.offset
                        in done.get(each.get("reason", b""), {}).get(partition, ())
                    ],
                )

    def _with_home(self, records: Sequence[Record]) -> Iterator[tuple[int, Record]]:
        """Yield the records that are events, each with its user's partition."""
        for record in records:
            event = decode(record.value)
            if not isinstance(event, Rejected):
                yield partition_of(event.user_id, len(self._source.ends)), record

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
