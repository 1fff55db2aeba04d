"""Odd traffic: kinds of events that producers send and the load generator does not.

Each kind is a load of its own. All are made from the same uniform load, so their extra cost comes
from what is odd about them.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from benchmarks.rig.filling import FILLED_UNTIL_MS
from benchmarks.rig.loads import UniformLoad
from loadgen.workload import EventChunk
from models.partitioner import murmur2_partitions
from models.schema import MAX_VALUE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from benchmarks.rig.bench import Size
    from benchmarks.rig.loads import Load

    #: Makes the text of an event odd; also gets the event's number in the load.
    Change = Callable[[bytes, int], bytes]
    #: Makes a chunk of events odd as a whole; also gets the number of its first event.
    Arrange = Callable[[EventChunk, int], EventChunk]

PLAIN = "plain"
#: Users of each kind, except kinds of few users.
USERS = 100_000
#: Partitions of the input topic.
PARTITIONS = 8

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_HEAVY_IDS = 4_000
#: Events that are sent repeatedly as duplicates.
_POOL = 8_192

_METADATA = re.compile(rb'"metadata":\{(?:"view_duration_ms":\d+,)?')
_ZONED = re.compile(rb"T(\d\d):(\d\d:\d\d\.\d{3})Z")
_EXTRA = b',"context":{"page":"/feed","tags":["a","b"],"screen":{"w":390.5,"h":844},"trace":"%b"}'


class OddKind(NamedTuple):
    """A kind of events, with its group and name."""

    group: str
    name: str
    change: Change | None = None
    arrange: Arrange | None = None
    share: float = 1.0
    """Fraction of a backlog's events to send: below 1 for large events."""

    def load(self, seed: int = 1) -> Load:
        """Return an endless stream of such events."""
        return _OddLoad(self, seed)


class _OddLoad:
    def __init__(self, kind: OddKind, seed: int) -> None:
        self._kind = kind
        self._plain = UniformLoad(seed, USERS, FILLED_UNTIL_MS)
        self._made = 0

    def chunk(self, count: int) -> EventChunk:
        first, self._made = self._made, self._made + count
        made, change = self._plain.chunk(count), self._kind.change
        if self._kind.arrange is not None:
            return self._kind.arrange(made, first)
        if change is None:
            return made
        values = [change(value, first + at) for at, value in enumerate(made.values)]
        return dataclasses.replace(made, values=values)


def _field(name: str, text: str) -> Change:
    """Return a change that gives a field the JSON value ``text``."""
    search = re.compile(rb'"%b":("[^"]*"|[\d.]+|\{[^}]*\})' % name.encode())
    found = f'"{name}":{text}'.encode()
    return lambda value, _: search.sub(found, value)


def _duration(text: str) -> Change:
    found = f'"metadata":{{"view_duration_ms":{text},'.encode()
    return lambda value, _: _METADATA.sub(found, value)


def _without(name: str) -> Change:
    search = re.compile(rb'"%b":("[^"]*"|[\d.]+),' % name.encode())
    return lambda value, _: search.sub(b"", value)


def _with_unknown_fields(value: bytes, _: int) -> bytes:
    return value[:-1] + _EXTRA % (b"0123456789abcdef" * 58) + b"}"


def _in_another_order(value: bytes, _: int) -> bytes:
    at = value.index(b',"metadata"')
    fields = value[1:at].split(b",")
    return b"{" + value[at + 1 : -1] + b"," + b",".join(reversed(fields)) + b"}"


def _with_escapes(value: bytes, _: int) -> bytes:
    escaped = value.replace(b"evt_", b"evt\\/\\u00e9").replace(b"sess_", b"\\ud83d\\ude00\\n")
    return escaped.replace(b'"device_type":"', b'"device_type":"\\"')


def _with_blanks(value: bytes, _: int) -> bytes:
    return json.dumps(json.loads(value), indent=4).encode()


def _with_nulls(value: bytes, _: int) -> bytes:
    at = value.index(b',"creator_id"')
    time = value.index(b',"timestamp"')
    end = value.index(b',"session_id"')
    nulls = b'"view_duration_ms":null,"video_position":null,"device_type":null'
    return b'%b,"creator_id":null%b,"session_id":null,"metadata":{%b}}' % (
        value[:at],
        value[time:end],
        nulls,
    )


def _in_a_zone(value: bytes, _: int) -> bytes:
    return _ZONED.sub(lambda found: b"T%02d:%b+02:00" % ((int(found[1]) + 2) % 24, found[2]), value)


def _with_nanoseconds(value: bytes, number: int) -> bytes:
    return _ZONED.sub(lambda found: found[0][:-1] + b"%06dZ" % (number % 1_000_000), value)


def _misplaced(made: EventChunk, _: int) -> EventChunk:
    """Send each event to the next partition, not to its user's."""
    right = murmur2_partitions(made.users, PARTITIONS)
    return dataclasses.replace(made, users=_NEXT[right])


def _user_of_each_partition() -> npt.NDArray[np.int64]:
    users = np.arange(1000)
    found = murmur2_partitions(users, PARTITIONS)
    return np.array([users[found == partition][0] for partition in range(PARTITIONS)])


_SPREAD = _user_of_each_partition()
_NEXT = np.roll(_SPREAD, -1)
_HEAVY = np.concatenate((_SPREAD, [1000, 1001]))


class _Again:
    """Sends the same ``_POOL`` events repeatedly."""

    def __init__(self) -> None:
        self._pool: EventChunk | None = None

    def __call__(self, made: EventChunk, _: int) -> EventChunk:
        if self._pool is None:
            self._pool = UniformLoad(1, USERS, FILLED_UNTIL_MS).chunk(_POOL)
        at = np.arange(len(made)) % _POOL
        pool = self._pool
        return EventChunk(
            [pool.keys[each] for each in at.tolist()],
            [pool.values[each] for each in at.tolist()],
            pool.users[at],
            pool.kinds[at],
        )


def _late(made: EventChunk, first: int) -> EventChunk:
    """Return events two days older than the first chunk's."""
    if first == 0:
        return made
    return UniformLoad(first, USERS, FILLED_UNTIL_MS - 2 * _DAY_MS).chunk(len(made))


def _of_users(users: npt.NDArray[np.int64], ms_per_event: float | None = None) -> Arrange:
    """Return an arrangement that gives the events to ``users`` in turn."""

    def arrange(made: EventChunk, first: int) -> EventChunk:
        of = users[np.arange(first, first + len(made)) % len(users)]
        values = [
            _USER.sub(b'"user_id":%d' % user, value)
            for value, user in zip(made.values, of.tolist(), strict=True)
        ]
        if ms_per_event is not None:
            times = FILLED_UNTIL_MS + (np.arange(first, first + len(made)) * ms_per_event)
            texts = np.datetime_as_string(times.astype("datetime64[ms]")).astype("S").tolist()
            values = [
                _TIME.sub(b'"timestamp":"%bZ"' % text, value)
                for value, text in zip(values, texts, strict=True)
            ]
        return EventChunk([b"%d" % user for user in of.tolist()], values, of, made.kinds)

    return arrange


_USER = re.compile(rb'"user_id":\d+')
_TIME = re.compile(rb'"timestamp":"[^"]*"')


def _of_reason(reason: str, change: Change, share: float = 1.0) -> OddKind:
    return OddKind("rejected", f"rejected: {reason}", change, share=share)


def _wrong(name: str, change: Change) -> OddKind:
    return OddKind("wrong optional value", f"wrong: {name}", change)


KINDS: tuple[OddKind, ...] = (
    OddKind(PLAIN, PLAIN),
    _wrong("creator_id, text", _field("creator_id", '"1909"')),
    _wrong("creator_id, negative", _field("creator_id", "-1")),
    _wrong("session_id, number", _field("session_id", "5")),
    _wrong("metadata, text", _field("metadata", '"mobile"')),
    _wrong("view_duration_ms, text", _duration('"15000"')),
    _wrong("view_duration_ms, negative", _duration("-15000")),
    _wrong("view_duration_ms, fraction", _duration("15000.5")),
    _wrong("video_position, text", _field("video_position", '"0.5"')),
    _wrong("video_position, above 1", _field("video_position", "75.5")),
    _wrong("device_type, number", _field("device_type", "5")),
    OddKind("odd form", "unknown fields of a KB", _with_unknown_fields),
    OddKind("odd form", "fields in another order", _in_another_order),
    OddKind("odd form", "escapes in strings", _with_escapes),
    OddKind("odd form", "blanks between tokens", _with_blanks),
    OddKind("odd form", "null where optional", _with_nulls),
    OddKind("odd form", "times with +02:00", _in_a_zone),
    OddKind("odd form", "times with 9 digits", _with_nanoseconds),
    _of_reason("malformed_json", lambda value, _: value[:-20]),
    _of_reason("not_an_object", lambda value, _: b"[" + value + b"]"),
    _of_reason("missing_field", _without("timestamp")),
    _of_reason("invalid_field", _field("user_id", '"987654321"')),
    _of_reason("unknown_event_type", _field("event_type", '"dislike"')),
    _of_reason(
        "too_large",
        lambda value, _: _field("session_id", f'"{"x" * MAX_VALUE_BYTES}"')(value, 0),
        0.002,
    ),
    _of_reason("future_timestamp", lambda value, _: value.replace(b'p":"20', b'p":"40')),
    OddKind("late", "late", arrange=_late),
    OddKind("mis-keyed", "mis-keyed, passed on", arrange=_misplaced),
    OddKind("duplicates", "duplicates", arrange=_Again()),
    OddKind("few", "one user", arrange=_of_users(_SPREAD[:1])),
    OddKind("few", "one video", _field("video_id", "7")),
    OddKind(
        "few",
        "ten users of 4,000 ids an hour",
        arrange=_of_users(_HEAVY, _HOUR_MS / _HEAVY_IDS / len(_HEAVY)),
    ),
)

_BRIEF: Final = "wrong: creator_id, text", "rejected: missing_field"


def kinds_of(size: Size) -> tuple[OddKind, ...]:
    """Return the kinds to measure: plain traffic first, then the selected ones or all."""
    wanted = size.kinds or (_BRIEF if size.brief else ("",))
    return tuple(
        kind
        for kind in KINDS
        if kind.name == PLAIN or any(kind.name.startswith(each) for each in wanted)
    )
