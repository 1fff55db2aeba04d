"""A key's value at a point in time, from this worker's tables or from the worker that owns it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from models.windows import to_iso
from tables.sliced import NotHereError

from .answers import bad_request, not_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.windows import Slices
    from tables.sliced import SlicedTable


class Known(NamedTuple):
    """A value of which something counts, and the stream time of its partition in ms."""

    value: bytes
    stream_time: int


def read_known(
    table: SlicedTable[Any], what: str, key: int, is_expired: Callable[[bytes, int], bool]
) -> Known | None:
    """Read what this worker knows of ``key``; None when the key's partition is elsewhere.

    Raises:
        HttpError: nothing is known of it.
    """
    try:
        value, stream_time = table.read(key)
    except NotHereError:
        return None
    if value is None or stream_time is None or is_expired(value, stream_time):
        raise not_found(f"nothing is known of {what} {key}")
    return Known(value, stream_time)


def check_kept(slices: Slices, first_pane: int, stream_time: int) -> None:
    """Refuse a window of which a part is dropped already.

    Raises:
        HttpError: the window begins before the oldest pane that is kept.
    """
    kept_from = slices.kept_from(stream_time)
    if first_pane < kept_from:
        begin, kept = to_iso(first_pane * slices.step), to_iso(kept_from * slices.step)
        message = f"the window begins at {begin}, kept is what came from {kept} on"
        raise bad_request("window_not_kept", message)
