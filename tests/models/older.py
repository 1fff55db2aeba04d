"""A user's rows as earlier versions of the program wrote them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from models.counters import USER
from models.dedup import block_key, index_key, size_of

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    Rows = MutableMapping[bytes, bytes | None]


def make_version_1(rows: Rows, key: bytes) -> None:
    """Convert a user's rows to version 1, in which the value had all ids."""
    value = _value(rows, key)
    blocks, first = value[1], value[2]
    opened = value[8 if blocks else 4 :]
    ids = b""
    for number in range(blocks):
        # A block whose ids have all expired may be deleted already.
        block = rows.get(block_key(key, (first + number) % 256))
        ids += block[9:] if block else b""
        rows[block_key(key, (first + number) % 256)] = None
    if blocks:
        rows[index_key(key)] = None
    rows[key] = struct.pack("<BxH", 1, len(ids) // 12 + value[3]) + ids + opened


def make_version_2(rows: Rows, key: bytes) -> None:
    """Convert a user's rows to version 2, in which the value listed its blocks; no index."""
    value = _value(rows, key)
    # An index whose ids have all expired may be deleted already, as a block may.
    index = rows.get(index_key(key)) if value[1] else None
    entries = index[9:] if index else b""
    blocks = [entries[at : at + 36] for at in range(0, len(entries), 36)]
    told = [block[32:] for block in blocks] + [block[:32] for block in blocks]
    if value[1]:
        rows[index_key(key)] = None
    header = bytes((2, len(blocks), value[2], value[3]))
    rows[key] = header + b"".join(told) + value[8 if value[1] else 4 :]


def _value(rows: Rows, key: bytes) -> bytes:
    value = rows[key]
    assert value is not None
    assert value[0] == USER.version
    ids = size_of(value)
    panes = (USER.rows_of(3).pack(*row[:4]) for row in USER.rows.items(value[ids:]))
    return value[:ids] + b"".join(panes)
