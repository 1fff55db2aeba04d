"""Rejects: valid events, spoilt so that they must be rejected for a given reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from loadgen.kinds import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_VALUE_BYTES = 1 << 20

_REQUIRED = ("event_id", "event_type", "user_id", "video_id", "timestamp")
_UNKNOWN_TYPES = ("video_pause", "dislike", "VIDEO_VIEW", "")
_NO_OBJECTS: tuple[Callable[[bytes], bytes], ...] = (
    lambda value: b"[%b]" % value,
    lambda value: b"%d" % len(value),
    lambda _: b'"video_view"',
    lambda _: b"null",
    lambda _: b"true",
)
_MALFORMED: tuple[Callable[[bytes], bytes], ...] = (
    lambda value: value[: len(value) // 2],
    lambda value: value[:-1] + b",}",
    lambda value: value + value,
    lambda value: value.replace(b'"', b"'"),
    lambda value: value.replace(b'"video_position":0.', b'"video_position":NaN,"was":0.'),
    lambda _: b"",
    lambda _: b"video_view",
)
_INVALID: tuple[tuple[str, Any], ...] = (
    ("event_id", ""),
    ("event_id", "e" * 129),
    ("event_id", 17),
    ("user_id", "17"),
    ("user_id", -1),
    ("user_id", 17.5),
    ("user_id", True),
    ("user_id", 1 << 63),
    ("video_id", None),
    ("video_id", "v17"),
    ("video_id", -17),
    ("timestamp", "2025-01-15T14:30:45.123"),
    ("timestamp", "yesterday"),
    ("timestamp", "2025-02-30T00:00:00Z"),
    ("timestamp", 1_736_951_445_123),
)
#: Later than any real clock.
_FUTURE = "2999-12-31T23:59:59.999Z"


def spoil(kind: EventKind, value: bytes, detail: int) -> bytes:
    """Return a reject of ``kind``, made of the valid event ``value``; ``detail`` chooses how."""
    return _SPOILERS[kind](value, detail)


def _malformed(value: bytes, detail: int) -> bytes:
    return _MALFORMED[detail % len(_MALFORMED)](value)


def _broken_utf8(value: bytes, detail: int) -> bytes:
    broken = (b"evt_\xff", b"evt_\xc3", b"evt_\xed\xa0\x80")
    return value.replace(b"evt_", broken[detail % len(broken)], 1)


def _not_an_object(value: bytes, detail: int) -> bytes:
    return _NO_OBJECTS[detail % len(_NO_OBJECTS)](value)


def _missing_field(value: bytes, detail: int) -> bytes:
    event = orjson.loads(value)
    del event[_REQUIRED[detail % len(_REQUIRED)]]
    return orjson.dumps(event)


def _invalid_field(value: bytes, detail: int) -> bytes:
    name, wrong = _INVALID[detail % len(_INVALID)]
    return _with(value, {name: wrong})


def _unknown_event_type(value: bytes, detail: int) -> bytes:
    return _with(value, {"event_type": _UNKNOWN_TYPES[detail % len(_UNKNOWN_TYPES)]})


def _future_timestamp(value: bytes, _detail: int) -> bytes:
    return _with(value, {"timestamp": _FUTURE})


def _too_large(value: bytes, detail: int) -> bytes:
    return _with(value, {"padding": "x" * (MAX_VALUE_BYTES + detail % 1000)})


def _with(value: bytes, changes: Mapping[str, Any]) -> bytes:
    return orjson.dumps(orjson.loads(value) | changes)


_SPOILERS: dict[EventKind, Callable[[bytes, int], bytes]] = {
    EventKind.MALFORMED_JSON: _malformed,
    EventKind.BROKEN_UTF8: _broken_utf8,
    EventKind.NOT_AN_OBJECT: _not_an_object,
    EventKind.MISSING_FIELD: _missing_field,
    EventKind.INVALID_FIELD: _invalid_field,
    EventKind.UNKNOWN_EVENT_TYPE: _unknown_event_type,
    EventKind.FUTURE_TIMESTAMP: _future_timestamp,
    EventKind.TOO_LARGE: _too_large,
}
