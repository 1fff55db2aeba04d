"""Passed-on events, compared with their copies in the repartition topic.

These are events in another partition than their user's, and replayed dead letters.

A copy is deleted some time after it was counted, and the input may keep the original for longer;
the audit then recounts the original. Releases up to 6e02854 wrote copies to the input, where they
count; their originals are further events with the same id.
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from xxhash import xxh3_128_digest

from auditing.decoding import decoded
from auditing.merging import Arrival
from auditing.spill_map import SpillMap
from models.event import Rejected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence

    from auditing.reading import Topics
    from auditing.replayed import Done
    from streaming.kafka.records import Record

#: Maps of misplaced events: the number of equal events without a copy, the number of these already
#: collected, and the events.
KINDS: Final = ("lacking", "collected", "gone")

_COUNT: Final = Struct("<q")
_NONE: Final = _COUNT.pack(0)
#: Home partition, record timestamp in ms, and the event's place: 0 for the input or 1 for dead
#: letters, partition, offset.
_PLACE: Final = Struct(">IqBIQ")


class Input(NamedTuple):
    """The recounted part of the input topic."""

    name: str
    begins: Mapping[int, int]
    ends: Mapping[int, int]
    refused: Mapping[int, Collection[int]]
    """Offsets of events that were ahead of the clock, by partition."""


class Replayed(NamedTuple):
    """The dead letters that were replayed."""

    topic: str
    done: Mapping[bytes, Mapping[int, Done]]
    """Replayed offsets of one reason, by partition."""
    sources: Collection[bytes]
    """Source topics of this app; the topic may hold dead letters of other apps."""


class PassedOn:
    """Finds passed-on events without a copy."""

    def __init__(
        self, topics: Topics, source: Input, replayed: Replayed, new_map: Callable[[str], SpillMap]
    ) -> None:
        """Read through ``topics``; ``new_map`` returns an empty map of each of :data:`KINDS`."""
        self.oldest: dict[int, int] = {}
        """Timestamp in ms of the first record that is left in the input, by partition."""
        self._topics = topics
        self._source = source
        self._replayed = replayed
        self._lacking, self._collected, self._gone = map(new_map, KINDS)

    async def find(self, copies: str) -> int:
        """Compare with the topic ``copies``; return the number of events without a copy."""
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
        """Keep events without a copy; of equal events the first, whose copy is deleted first."""
        async for home, place, record in self._originals():
            digest = _digest(home, record)
            lacking = _count(self._lacking, digest)
            if lacking > 0 and _add(self._collected, digest, 1) <= lacking:
                key = _PLACE.pack(home, record.timestamp, *place, record.offset)
                self._gone.put(key, record.value)

    def gone(self) -> Iterator[tuple[int, Arrival]]:
        """Yield the events without a copy, each with its user's partition.

        Ordered by partition, then by record timestamp.
        """
        return _arrivals(self._gone)

    def keep_gone(self) -> Path:
        """Leave these events on disk; return their folder, for :func:`gone_in`."""
        return self._gone.keep()

    async def _originals(self) -> AsyncIterator[tuple[int, tuple[int, int], Record]]:
        """Yield each passed-on event with its user's partition and its place."""
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
        """Yield the valid events, each with its user's partition."""
        for record, event, home in decoded(records, len(self._source.ends)):
            if not isinstance(event, Rejected):
                yield home, record

    def close(self) -> None:
        """Forget everything."""
        for values in (self._lacking, self._collected, self._gone):
            values.close()


def gone_in(folder: str) -> Iterator[tuple[int, Arrival]]:
    """Yield the events that :meth:`PassedOn.keep_gone` has left in ``folder``."""
    return _arrivals(SpillMap.kept(Path(folder)))


def _arrivals(gone: SpillMap) -> Iterator[tuple[int, Arrival]]:
    for key in gone:
        home, timestamp, *_ = _PLACE.unpack(key)
        yield home, Arrival(-1, timestamp, gone.get(key))


def _digest(home: int, record: Record) -> bytes:
    return xxh3_128_digest(record.value or b"", seed=home)


def _count(values: SpillMap, digest: bytes) -> int:
    count: int = _COUNT.unpack(values.get(digest) or _NONE)[0]
    return count


def _add(values: SpillMap, digest: bytes, count: int) -> int:
    total = _count(values, digest) + count
    values.put(digest, _COUNT.pack(total))
    return total
