"""A user with few ids, stored in one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.counted import of_user

if TYPE_CHECKING:
    from models.user import UserWindows


KEY = b"1"


def apply_to_value(
    windows: UserWindows,
    value: bytes | None,
    kind: str,
    t: int,
    watched: int,
    event_id: int,
    stream_time: int,
) -> bytes | None:
    """Return the value after an event; None for a duplicate. Nothing may be sealed."""
    rows: dict[bytes, bytes | None] = {KEY: value}
    applied = windows.apply(rows, KEY, of_user(kind, watched), t, event_id, stream_time)
    assert rows.keys() == {KEY}
    return rows[KEY] if applied else None
