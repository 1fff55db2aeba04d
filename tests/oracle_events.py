"""The oracle's own parser of records: the event or the reason for its rejection; its partition.

Written from the contract alone. Python's ``json`` does the parsing, strictly.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple, NoReturn

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 256
TYPES = ("video_view", "like", "comment", "share", "save", "follow")
REQUIRED = ("event_id", "event_type", "user_id", "video_id", "timestamp")


class Event(NamedTuple):
    """The fields of an event that affect results; times in ms."""

    event_id: str
    event_type: str
    user_id: int
    video_id: int
    t: int
    watched: int
    position: Fraction | None = None
    creator_id: int | None = None


def parse(value: bytes | None) -> Event | str:
    """Return the event in a value, or the reason for its rejection."""
    if not value:
        return "malformed_json"
    if len(value) > MAX_BYTES:
        return "too_large"
    try:
        document = _load_json(value)
    except (ValueError, RecursionError):
        return "malformed_json"
    if not isinstance(document, dict):
        return "not_an_object"
    if any(name not in document for name in REQUIRED):
        return "missing_field"
    return _event_of(document)


def _load_json(value: bytes) -> Any:
    text = value.decode("utf-8")
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise ValueError("too deep")
    return _JSON.decode(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


# JSON has neither NaN nor infinities.
_JSON = json.JSONDecoder(parse_constant=_refuse)


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.DOTALL):
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return deepest


def _event_of(document: dict[str, Any]) -> Event | str:
    event_id, event_type = document["event_id"], document["event_type"]
    if not isinstance(event_id, str) or not 1 <= len(event_id) <= 128:
        return "invalid_field"
    if not isinstance(event_type, str):
        return "invalid_field"
    if event_type not in TYPES:
        return "unknown_event_type"
    for name in ("user_id", "video_id"):
        # Not isinstance: it accepts a bool as an int.
        if type(document[name]) is not int or not 0 <= document[name] < 2**63:
            return "invalid_field"
    t = _time_of(document["timestamp"])
    if t is None:
        return "invalid_field"
    watched, position = 0, None
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        duration = metadata.get("view_duration_ms")
        if type(duration) is int and 0 <= duration <= 2**53:
            watched = duration
        reached: Any = metadata.get("video_position")
        if type(reached) in (int, float) and 0 <= reached <= 1:
            position = Fraction(reached)
    ids = document["user_id"], document["video_id"]
    return Event(event_id, event_type, *ids, t, watched, position, _creator_of(document))


def _creator_of(document: dict[str, Any]) -> int | None:
    creator = document.get("creator_id")
    return creator if type(creator) is int and 0 <= creator < 2**63 else None


_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def _time_of(text: Any) -> int | None:
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    *numbers, fraction, _, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        zone = timezone(-offset if sign == "-" else offset)
        seconds = _seconds_since_1970(*map(int, numbers), zone)
    except ValueError:
        return None
    return seconds * 1000 + int((fraction or "0").ljust(3, "0")[:3])


@cache
def _seconds_since_1970(
    year: int, month: int, day: int, hour: int, minute: int, second: int, zone: timezone
) -> int:
    is_leap = second == 60
    moment = datetime(year, month, day, hour, minute, second - is_leap, tzinfo=zone)
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) + is_leap
    if is_leap and seconds % (24 * 3600) != 0:
        raise ValueError("a leap second ends a day")
    return seconds


@cache
def partition_of(user_id: int, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner chooses for an id's decimal text."""
    return (murmur2(b"%d" % user_id) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Return ``org.apache.kafka.common.utils.Utils.murmur2`` as an unsigned number."""
    mask, m, r = 0xFFFFFFFF, 0x5BD1E995, 24
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * m) & mask
        k ^= k >> r
        k = (k * m) & mask
        h = (h * m) & mask
        h ^= k
    left = data[whole:]
    if len(left) >= 3:
        h ^= left[2] << 16
    if len(left) >= 2:
        h ^= left[1] << 8
    if len(left) >= 1:
        h ^= left[0]
        h = (h * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    h ^= h >> 15
    return h
