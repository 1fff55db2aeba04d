"""A delta record: all that one source task adds to one partition of videos in one commit.

Little-endian, unpadded:

    u8 version, u8 unused, u16 source partition, u32 number of rows, i64 source stream time (ms)
    rows: u64 video_id, u32 pane, and the counters of models.counters.VIDEO

The version is that of the videos' counters. accelerator.deltas reads and writes the same, compiled.

A record without rows is a tick: it tells the source's stream time and nothing else.
"""

import struct
from collections.abc import Iterable, Iterator
from itertools import starmap
from operator import add
from typing import Final

from models.counters import VIDEO
from models.cut import CutValue
from models.errors import CodecError
from models.partitioner import murmur2_partitions

DeltaRow = tuple[int, ...]
"""video_id, pane, and a number for each counter of models.counters.VIDEO."""

ROWS_AT_ONCE: Final = 8000
"""Rows of one record at most."""

MAX_TIME_MS: Final = 253_402_300_799_999
"""The end of the year 9999: no event is later."""

HEADER_FORMAT: Final = "<BxHIq"
ROW_FORMAT: Final = "<QI"
_HEADER: Final = struct.Struct(HEADER_FORMAT)
_ROWS: Final = {
    version: struct.Struct(ROW_FORMAT + VIDEO.codes(version))
    for version in (*VIDEO.older, VIDEO.version)
}
_ROW: Final = _ROWS[VIDEO.version]
HEADER_SIZE: Final = _HEADER.size
ROW_SIZE: Final = _ROW.size


def pack_deltas(source_partition: int, stream_time_ms: int, rows: Iterable[DeltaRow]) -> bytes:
    """One record with these rows; ValueError when a number does not fit its field."""
    try:
        body = b"".join(starmap(_ROW.pack, rows))
        return (
            _HEADER.pack(VIDEO.version, source_partition, len(body) // _ROW.size, stream_time_ms)
            + body
        )
    except struct.error as error:
        raise ValueError(f"not a delta record: {error}") from error


class Gathered:
    """What a source task's events add to videos until its next commit, by video and pane.

    This is the plain form; accelerator.deltas has one that does the same, compiled.
    """

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        """Start with nothing."""
        self._counts: dict[tuple[int, int], tuple[int, ...]] = {}

    def __len__(self) -> int:
        """Pairs of a video and a pane."""
        return len(self._counts)

    def add(self, video_id: int, pane: int, increments: tuple[int, ...]) -> None:
        """Add what an event adds to each counter; see models.entity.Entity.increments."""
        counts = self._counts.get((video_id, pane), VIDEO.nothing)
        self._counts[video_id, pane] = tuple(map(add, counts, increments))

    def records(
        self, source_partition: int, stream_time_ms: int, partitions: int, *, tick: bool
    ) -> list[tuple[int, bytes]]:
        """Records of all this, each with the partition of its videos, in their order.

        With `tick`, partitions without any rows are told the stream time, too. ValueError when a
        number does not fit its field; the compiled form says so when it is added.
        """
        targets = murmur2_partitions([video_id for video_id, _ in self._counts], partitions)
        rows: dict[int, list[DeltaRow]] = {number: [] for number in range(partitions)}
        for target, (place, counts) in zip(targets.tolist(), self._counts.items(), strict=True):
            rows[target].append((*place, *counts))
        return [
            (
                target,
                pack_deltas(source_partition, stream_time_ms, each[first : first + ROWS_AT_ONCE]),
            )
            for target, each in rows.items()
            for first in range(0, len(each) or (1 if tick else 0), ROWS_AT_ONCE)
        ]


def unpack_deltas(value: bytes) -> tuple[int, int, Iterator[DeltaRow]]:
    """(source partition, stream time in ms, rows); CodecError when the value is no delta record."""
    if isinstance(value, CutValue):
        raise CodecError(f"a delta record of {value.full_size} bytes is too large")
    if len(value) < _HEADER.size:
        raise CodecError(f"a delta record of {len(value)} bytes is too short for its header")
    version, source_partition, count, stream_time_ms = _HEADER.unpack_from(value)
    row = _ROWS.get(version)
    if row is None:
        raise CodecError(f"a delta record has the unknown version {version}")
    if len(value) != _HEADER.size + count * row.size:
        raise CodecError(f"a delta record of {len(value)} bytes cannot have {count} rows")
    if not 0 <= stream_time_ms <= MAX_TIME_MS:
        raise CodecError(f"a delta record has the impossible time {stream_time_ms}")
    rows: Iterator[DeltaRow] = row.iter_unpack(value[_HEADER.size :])
    if row is not _ROW:
        missing = VIDEO.nothing[len(VIDEO.codes(version)) :]
        rows = ((*older, *missing) for older in rows)
    return source_partition, stream_time_ms, rows


def renewed(value: bytes) -> bytes:
    """The record of an older version in the layout of the newest; CodecError as unpack_deltas."""
    return pack_deltas(*unpack_deltas(value))
