"""Rows that go on in another partition, by whose stream time they are read from then on.

An event id is remembered by the stream time at which it was applied. In a partition whose stream
time is later by some ms, it is remembered as applied later by as much: its age, and with it how
long it is remembered, stay as they were.
"""

import struct
from math import gcd
from typing import Final

from models.seen import (
    BLOCK_VERSION,
    ENTRY_SIZE,
    HEADER_SIZE,
    ID_SIZE,
    INDEX_VERSION,
    SEALED_HEADER_SIZE,
    TIME_SIZE,
    is_sealed,
    size_of,
)

_CLOCK: Final = 2**32 - 1
_SEALED: Final = struct.Struct("<BQ")
_TIME: Final = struct.Struct("<I")


def parents(partition: int, before: int, after: int) -> range:
    """The partitions, of ``before``, whose keys may lie in a partition of ``after``.

    A key's hash is the same number h for both: p = h mod ``before`` and q = h mod ``after`` agree
    modulo their greatest common divisor, and all that do so have keys in common.
    """
    common = gcd(before, after)
    return range(partition % common, before, common)


def later(row: bytes, ms: int) -> bytes:
    """A row of the users' table with each id applied ``ms`` (0 or more) later in stream time."""
    if ms == 0:
        return row
    moved = bytearray(row)
    if is_sealed(row):
        version, newest = _SEALED.unpack_from(row)
        _SEALED.pack_into(moved, 0, version, newest + ms)
        size = {BLOCK_VERSION: ID_SIZE, INDEX_VERSION: ENTRY_SIZE}[version]
        _add(moved, SEALED_HEADER_SIZE, len(row), size, ms)
        return bytes(moved)
    end = size_of(row)
    opened = row[2] | row[3] << 8 if row[0] == 1 else row[3]
    first_open = end - opened * ID_SIZE
    # What lies before the open ids: the newest sealed time, or (version 2) all of them, first.
    times = row[1] if row[0] == 2 else 1 if first_open > HEADER_SIZE else 0  # noqa: PLR2004
    _add(moved, HEADER_SIZE, HEADER_SIZE + times * TIME_SIZE, TIME_SIZE, ms)
    _add(moved, first_open, end, ID_SIZE, ms)
    return bytes(moved)


def _add(row: bytearray, start: int, end: int, size: int, ms: int) -> None:
    """Add to the time at the end of each entry of ``size`` bytes."""
    for at in range(start + size - TIME_SIZE, end, size):
        _TIME.pack_into(row, at, (_TIME.unpack_from(row, at)[0] + ms) & _CLOCK)
