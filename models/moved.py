"""Rows that move to another partition, adapted to its stream time.

An event id is stored with the stream time at which it was applied. If stream time is later by some
ms in the new partition, that time is raised by the same amount. So the id keeps its age, and the
time for which it is still remembered.
"""

import struct
from math import gcd
from typing import Final

from models.dedup import (
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
    """Return the partitions, of ``before``, whose keys may be in a partition of ``after``.

    A key's hash h is the same for both numbers of partitions: p = h mod ``before`` and
    q = h mod ``after`` are equal modulo their greatest common divisor. All such p and q share keys.
    """
    common = gcd(before, after)
    return range(partition % common, before, common)


def later(row: bytes, ms: int) -> bytes:
    """Add ``ms`` (0 or more) to the stream time of each id in a row of the users' table."""
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
    # Times before the open ids: the newest sealed one; in version 2 one per block, in front.
    times = row[1] if row[0] == 2 else 1 if first_open > HEADER_SIZE else 0  # noqa: PLR2004
    _add(moved, HEADER_SIZE, HEADER_SIZE + times * TIME_SIZE, TIME_SIZE, ms)
    _add(moved, first_open, end, ID_SIZE, ms)
    return bytes(moved)


def _add(row: bytearray, start: int, end: int, size: int, ms: int) -> None:
    """Add ``ms`` to the time at the end of each entry of ``size`` bytes."""
    for at in range(start + size - TIME_SIZE, end, size):
        _TIME.pack_into(row, at, (_TIME.unpack_from(row, at)[0] + ms) & _CLOCK)
