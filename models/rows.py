"""Validation of rows: other programs may have written to the source of a restore.

accelerator.rows is the compiled form.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from models.counters import USER
from models.dedup import (
    BLOCK_IDS,
    BLOCK_VERSION,
    ENTRY_SIZE,
    ID_SIZE,
    INDEX_VERSION,
    MAX_BLOCKS,
    SEALED_HEADER_SIZE,
    size_of,
)
from models.entity import Entity
from models.errors import CodecError

#: Rows by key, in their order; None: the row is deleted.
Rows = dict[bytes | None, bytes | None]

#: A function that returns the keys of foreign rows; its second argument is a key to ignore.
FindForeign = Callable[[Rows, bytes], list[bytes | None]]

_SEALED_KEY: Final = re.compile(rb"(?:0|[1-9][0-9]{0,19}):(?:i|(0|[1-9][0-9]{0,2}))")
_MAX_DIGITS: Final = 20
_ZERO: Final = ord("0")
BLOCK_SIZE: Final = SEALED_HEADER_SIZE + BLOCK_IDS * ID_SIZE
_LAST_BLOCK: Final = 255


def foreign_users(changes: Rows, internal: bytes) -> list[bytes | None]:
    """Return the keys of rows that are neither users' values nor blocks or indexes of ids.

    A deletion is always valid if it has a key.
    """
    return _foreign(changes, internal, _is_user_row)


def foreign_sums(entity: Entity[Any], header_size: int) -> FindForeign:
    """Return a finder of rows that are not values of a summed table; see foreign_users."""

    def is_sums(key: bytes, row: bytes) -> bool:
        panes = len(row) - header_size
        if panes < 0 or not _is_number(key):
            return False
        size = entity.row_sizes.get(row[0])
        return size is not None and panes % size == 0

    return lambda changes, internal: _foreign(changes, internal, is_sums)


def _foreign(
    rows: Rows, internal: bytes, is_row: Callable[[bytes, bytes], bool]
) -> list[bytes | None]:
    return [
        key
        for key, row in rows.items()
        if key is None
        or (row is not None and key != internal and not (type(row) is bytes and is_row(key, row)))
    ]


def _is_number(key: bytes) -> bool:
    # Faster than the pattern, and nearly all keys are numbers.
    return key.isdigit() and len(key) <= _MAX_DIGITS and (key[0] != _ZERO or len(key) == 1)


def _is_user_row(key: bytes, row: bytes) -> bool:
    if not row:
        return False
    if _is_number(key):
        try:
            panes = len(row) - size_of(row)
        except (CodecError, IndexError):
            return False
        return panes >= 0 and panes % USER.row_sizes[row[0]] == 0
    match = _SEALED_KEY.fullmatch(key)
    if match is None:
        return False
    block = match[1]
    if block is None:
        entries, rest = divmod(len(row) - SEALED_HEADER_SIZE, ENTRY_SIZE)
        return row[0] == INDEX_VERSION and rest == 0 and 1 <= entries <= MAX_BLOCKS
    is_block = row[0] == BLOCK_VERSION and len(row) == BLOCK_SIZE
    return is_block and int(block) <= _LAST_BLOCK
