"""A user with few ids: all that is known of it is one value."""

from __future__ import annotations

from tests.counted import of_user

KEY = b"1"


def apply_to_value(windows, value, kind, t, watched, event_id, stream_time):
    """The value after an event; None when it is a duplicate. Nothing may be sealed."""
    rows = {KEY: value}
    applied = windows.apply(rows, KEY, of_user(kind, watched), t, event_id, stream_time)
    assert rows.keys() == {KEY}
    return rows[KEY] if applied else None
