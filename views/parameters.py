"""Parsing of request parameters: ids, windows, times and limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from models.schema import MAX_ID
from models.windows import format_duration, from_iso, parse_mixed
from views.answers import bad_request

if TYPE_CHECKING:
    from models.windows import Slices

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 1000

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_ZONE_AFTER_SPACE: Final = re.compile(r" ([0-9]{2}:?[0-9]{2})$")


def parse_id(text: str) -> int:
    """Return an id: a decimal number from 0 to 2**63 - 1."""
    if _NUMBER.fullmatch(text) is None or int(text) > MAX_ID:
        message = f"an id must be an integer from 0 to {MAX_ID}, not {text!r:.40}"
        raise bad_request("invalid_id", message)
    return int(text)


def parse_window(text: str | None, slices: Slices) -> int | None:
    """Return the window's size in ms, None for the whole window of ``slices``."""
    if text is None:
        return None
    try:
        size = parse_mixed(text)
        slices.window_at(0, size)
    except ValueError as exc:
        step, longest = format_duration(slices.step), format_duration(slices.size)
        message = f"a window must be a multiple of {step} up to {longest}, not {text!r:.40}"
        raise bad_request("invalid_window", message) from exc
    return size


def parse_at(text: str | None) -> int | None:
    """Return the time in ms, None without one."""
    if text is None:
        return None
    # An unescaped plus sign in a query is a space.
    text = _ZONE_AFTER_SPACE.sub(r"+\1", text)
    try:
        return from_iso(text)
    except ValueError as exc:
        message = f"a time must be RFC 3339 with a zone, such as 2025-01-15T14:30:45.123Z: {exc}"
        raise bad_request("invalid_time", message) from exc


def parse_stale(text: str | None) -> bool:
    """Return whether an answer may come from a copy that is behind: ``?stale=ok``."""
    if text not in {None, "ok"}:
        message = f"stale must be ok or absent, not {text!r:.40}"
        raise bad_request("invalid_stale", message)
    return text is not None


def parse_limit(text: str | None) -> int:
    """Return the maximum number of items to list."""
    if text is None:
        return DEFAULT_LIMIT
    if _NUMBER.fullmatch(text) is None or not 1 <= int(text) <= MAX_LIMIT:
        message = f"a limit must be an integer from 1 to {MAX_LIMIT}, not {text!r:.40}"
        raise bad_request("invalid_limit", message)
    return int(text)
