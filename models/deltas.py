"""A delta record: the sums that one source task sends to one partition of a table in one commit.

Little-endian, unpadded:

    u8 version, u8 flags, u16 source partition, u32 number of rows, i64 source stream time (ms)
    rows: u64 key, u32 pane, and the counters of the table's entity, VIDEO or CREATOR

The version is that of the entity's counters. accelerator.deltas is the compiled form.

A record without rows is a heartbeat: it carries only the source's stream time. The first record of
a source has the flag BEGINS: counts up to its stream time were not sent.
"""

import struct
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import starmap
from operator import add
from typing import Any, Final

from models.counters import VIDEO
from models.cut import CutBytes
from models.entity import Entity
from models.errors import CodecError
from models.partitioner import murmur2_partitions

#: Key, pane, and one number per counter of the entity.
DeltaRow = tuple[int, ...]

#: Maximum number of rows per record.
MAX_ROWS_PER_RECORD: Final = 8000

#: The end of the year 9999: no event is later.
MAX_TIME_MS: Final = 253_402_300_799_999

HEADER_FORMAT: Final = "<BBHIq"
ROW_FORMAT: Final = "<QI"
#: Header of the Kafka record: the step in ms by which panes are numbered, as text.
STEP: Final = "step"
#: Flag of a source's first record.
BEGINS: Final = 1

_HEADER: Final = struct.Struct(HEADER_FORMAT)
HEADER_SIZE: Final = _HEADER.size


@cache
def row_of(of: Entity[Any], version: int) -> struct.Struct | None:
    """Return the layout of a version's rows; None for an unknown version."""
    known = version == of.version or version in of.older
    return struct.Struct(ROW_FORMAT + of.codes(version)) if known else None


def _newest(of: Entity[Any]) -> struct.Struct:
    row = row_of(of, of.version)
    assert row is not None  # noqa: S101 - for the types
    return row


#: Bytes of a video's row.
ROW_SIZE: Final = _newest(VIDEO).size


def pack_deltas(
    source_partition: int,
    stream_time_ms: int,
    rows: Iterable[DeltaRow],
    of: Entity[Any] = VIDEO,
    flags: int = 0,
) -> bytes:
    """Pack a record; ValueError if a number does not fit its field."""
    row = _newest(of)
    try:
        body = b"".join(starmap(row.pack, rows))
        count = len(body) // row.size
        return _HEADER.pack(of.version, flags, source_partition, count, stream_time_ms) + body
    except struct.error as error:
        raise ValueError(f"not a delta record: {error}") from error


class DeltaAccumulator:
    """Sums of a source task's events for one table until the next commit, by key and pane.

    accelerator.deltas has the compiled form.
    """

    __slots__ = ("_counts", "_of")

    def __init__(self, of: Entity[Any] = VIDEO) -> None:
        """Start empty."""
        self._of = of
        self._counts: dict[tuple[int, int], tuple[int, ...]] = {}

    def __len__(self) -> int:
        """Count the pairs of key and pane."""
        return len(self._counts)

    def add(self, key: int, pane: int, increments: tuple[int, ...]) -> None:
        """Add an event's increment to each counter; see models.entity.Entity.increments."""
        place = key, pane
        counts = self._counts.get(place)
        self._counts[place] = increments if counts is None else tuple(map(add, counts, increments))

    def records(
        self, source_partition: int, stream_time_ms: int, partitions: int, *, heartbeat: bool
    ) -> list[tuple[int, bytes]]:
        """Return the sums as records, each with its target partition, in that order.

        With ``heartbeat``, partitions without rows get a record with the stream time. Counters stop
        at their maximum. Raises ValueError if another number does not fit its field; the compiled
        form raises it in :meth:`add`.
        """
        targets = murmur2_partitions([key for key, _ in self._counts], partitions)
        rows: dict[int, list[DeltaRow]] = {number: [] for number in range(partitions)}
        for target, (place, counts) in zip(targets.tolist(), self._counts.items(), strict=True):
            rows[target].append((*place, *counts))
        return [
            (
                target,
                self._record(
                    source_partition, stream_time_ms, each[first : first + MAX_ROWS_PER_RECORD]
                ),
            )
            for target, each in rows.items()
            for first in range(0, len(each) or (1 if heartbeat else 0), MAX_ROWS_PER_RECORD)
        ]

    def _record(self, source_partition: int, stream_time_ms: int, rows: list[DeltaRow]) -> bytes:
        try:
            return pack_deltas(source_partition, stream_time_ms, rows, self._of)
        except ValueError:
            limited = self._of.rows.limited
            rows = [(key, pane, *limited(counts)) for key, pane, *counts in rows]
            return pack_deltas(source_partition, stream_time_ms, rows, self._of)


def unpack_deltas(value: bytes, of: Entity[Any] = VIDEO) -> tuple[int, int, Iterator[DeltaRow]]:
    """(source partition, stream time in ms, rows); CodecError if it is not a delta record."""
    if isinstance(value, CutBytes):
        raise CodecError(f"a delta record of {value.full_size} bytes is too large")
    if len(value) < _HEADER.size:
        raise CodecError(f"a delta record of {len(value)} bytes is too short for its header")
    version, _, source_partition, count, stream_time_ms = _HEADER.unpack_from(value)
    row = row_of(of, version)
    if row is None:
        raise CodecError(f"a delta record has the unknown version {version}")
    if len(value) != _HEADER.size + count * row.size:
        raise CodecError(f"a delta record of {len(value)} bytes cannot have {count} rows")
    if not 0 <= stream_time_ms <= MAX_TIME_MS:
        raise CodecError(f"a delta record has the impossible time {stream_time_ms}")
    rows: Iterator[DeltaRow] = row.iter_unpack(value[_HEADER.size :])
    if version != of.version:
        missing = of.nothing[len(of.codes(version)) :]
        rows = ((*older, *missing) for older in rows)
    return source_partition, stream_time_ms, rows


def complete_from(value: bytes) -> int:
    """Return the stream time, in ms, from which the source sends everything; 0: unknown."""
    _, flags, _, _, stream_time_ms = _HEADER.unpack_from(value)
    return stream_time_ms + 1 if flags & BEGINS else 0


def in_coarser_steps(value: bytes, factor: int, of: Entity[Any] = VIDEO) -> bytes:
    """Renumber a record by a step ``factor`` times as long; CodecError as unpack_deltas."""
    source_partition, stream_time_ms, rows = unpack_deltas(value, of)
    coarser = ((key, pane // factor, *counts) for key, pane, *counts in rows)
    return pack_deltas(source_partition, stream_time_ms, coarser, of, value[1])


def renewed(value: bytes, of: Entity[Any] = VIDEO) -> bytes:
    """Convert a record to the newest version; CodecError as unpack_deltas."""
    source_partition, stream_time_ms, rows = unpack_deltas(value, of)
    return pack_deltas(source_partition, stream_time_ms, rows, of, value[1])
