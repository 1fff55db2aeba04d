"""Detection of changelog rows that this program has not written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from models.rows import foreign_sums, foreign_users
from tables.layout import LAYOUT_KEY, StoreFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.entity import Entity
    from models.rows import FindForeign, Rows


class RowChecks(NamedTuple):
    """Functions that find foreign rows, one per kind of table."""

    users: FindForeign
    sums: Callable[[Entity[Any], int], FindForeign]
    """Makes the function for a summed table, from its entity and the bytes of a value's header."""


PLAIN_CHECKS = RowChecks(foreign_users, foreign_sums)


class ForeignRowError(Exception):
    """A changelog has rows that this program has not written, so no table may be built from it."""

    def __init__(self, keys: Sequence[bytes | None]) -> None:
        """Name the rows by their ``keys``; None is the key of a record without one."""
        super().__init__(f"rows of other programs: {keys!r:.200}")
        self.keys = keys


def check_rows(changes: Rows, find_foreign: FindForeign) -> None:
    """Check rows of a changelog before they become part of a table.

    Raises:
        ForeignRowError: some rows are not this program's.
    """
    foreign = find_foreign(changes, LAYOUT_KEY)
    if LAYOUT_KEY in changes and not _is_layout(changes[LAYOUT_KEY]):
        foreign.append(LAYOUT_KEY)
    if foreign:
        raise ForeignRowError(foreign)


def _is_layout(stored: bytes | None) -> bool:
    try:
        return bool(StoreFormat.id_of(stored))
    except (msgspec.MsgspecError, ValueError):
        return False
