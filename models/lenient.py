"""The slow path from bytes to an event: finds the fault, or leaves out invalid optional values.

The parser of the fast path cuts the document into the raw text of its known fields. So both paths
agree on JSON, on unknown fields and on duplicate keys (the last one counts). accelerator.scan finds
the same reasons, compiled, for valid JSON; accelerator.tokens reads JSON.
"""

import re
from typing import Any, Final

from msgspec import DecodeError, MsgspecError, Raw, Struct, ValidationError
from msgspec.json import Decoder

from models.cut import full_size
from models.schema import (
    EVENT_TYPES,
    MAX_DEPTH,
    MAX_DURATION_MS,
    MAX_ID,
    MAX_VALUE_BYTES,
    DurationMs,
    Event,
    EventId,
    EventType,
    Id,
    Metadata,
    Position,
    Rejected,
)
from models.timestamps import AwareDatetime, parse_rfc3339

_ABSENT: Final = b""
_NULL: Final = b"null"
_NUMBERS: Final = frozenset({int, float})
_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKETS: Final = re.compile(r"[\[\]{}]")


class _RawEvent(Struct):
    event_id: Raw = Raw()
    event_type: Raw = Raw()
    user_id: Raw = Raw()
    video_id: Raw = Raw()
    timestamp: Raw = Raw()
    creator_id: Raw = Raw()
    session_id: Raw = Raw()
    metadata: Raw = Raw()


class _RawMetadata(Struct):
    view_duration_ms: Raw = Raw()
    video_position: Raw = Raw()
    device_type: Raw = Raw()


class NullableMetadata(Struct, gc=False):
    """Metadata whose fields may be null."""

    view_duration_ms: DurationMs | None = None
    video_position: Position | None = None
    device_type: str | None = None


class _LenientEvent(Struct, gc=False):
    event_id: EventId
    event_type: EventType
    user_id: Id
    video_id: Id
    timestamp: AwareDatetime
    creator_id: Any = None
    session_id: Any = None
    metadata: Any = None


_decode_lenient: Final = Decoder(_LenientEvent).decode
_decode_any: Final = Decoder(Raw).decode
_decode_raw: Final = Decoder(_RawEvent).decode
_decode_text: Final = Decoder(str).decode
_decode_raw_metadata: Final = Decoder(_RawMetadata).decode

_ID: Final = "an integer from 0 to 9223372036854775807"
_REQUIRED: Final[dict[str, tuple[Decoder[Any], str]]] = {
    "event_id": (Decoder(EventId), "a string of 1 to 128 characters"),
    "event_type": (Decoder(str), "one of " + ", ".join(EVENT_TYPES)),
    "user_id": (Decoder(Id), _ID),
    "video_id": (Decoder(Id), _ID),
    "timestamp": (Decoder(str), "an RFC 3339 time with a zone, such as 2025-01-15T14:30:45.123Z"),
}
NOT_AN_OBJECT: Final = Rejected("not_an_object", "the value is JSON, but not an object")
UNKNOWN_TYPE: Final = Rejected(
    "unknown_event_type", f"event_type must be {_REQUIRED['event_type'][1]}"
)
MISSING: Final = {name: Rejected("missing_field", f"{name} is missing") for name in _REQUIRED}
#: Rejections for an invalid required field, by its name.
INVALID: Final = {
    name: Rejected("invalid_field", f"{name} must be {allowed}")
    for name, (_, allowed) in _REQUIRED.items()
}

_OPTIONAL: Final[dict[str, Decoder[Any]]] = {
    "creator_id": Decoder(Id),
    "session_id": Decoder(str),
}
_METADATA: Final[dict[str, Decoder[Any]]] = {
    "view_duration_ms": Decoder(DurationMs),
    "video_position": Decoder(Position),
    "device_type": Decoder(str),
}

#: Optional values, by the names that `examine` reports.
OPTIONAL_VALUES: Final = (*_OPTIONAL, "metadata", *(f"metadata.{name}" for name in _METADATA))


def decode_leniently(text: str) -> tuple[Event, tuple[str, ...]] | None:
    """Return the event in a value whose faults are all optional values, and the names of those.

    None: there may be another fault. Some producers send null for unknown values, which is valid,
    and some send an invalid value in every event. Both are too common for the slow path.
    """
    try:
        found = _decode_lenient(text)
    except (MsgspecError, ValueError, RecursionError):
        return None
    wrong: list[str] = []
    creator_id, session_id = found.creator_id, found.session_id
    if creator_id is not None and not _is_whole(creator_id, MAX_ID):
        creator_id = None
        wrong.append("creator_id")
    if session_id is not None and type(session_id) is not str:
        session_id = None
        wrong.append("session_id")
    metadata = _right_metadata(found.metadata, wrong)
    event = Event(
        found.event_id,
        found.event_type,
        found.user_id,
        found.video_id,
        found.timestamp,
        creator_id,
        session_id,
        metadata,
    )
    return event, tuple(wrong)


def _is_whole(value: object, most: int) -> bool:
    """Whether a value is an integer from 0 to ``most``, and not a bool."""
    return type(value) is int and 0 <= value <= most


def _right_metadata(given: object, wrong: list[str]) -> Metadata:
    if given is None:
        return Metadata()
    if type(given) is not dict:
        wrong.append("metadata")
        return Metadata()
    duration = given.get("view_duration_ms")
    position, device = given.get("video_position"), given.get("device_type")
    if duration is not None and not _is_whole(duration, MAX_DURATION_MS):
        duration = None
        wrong.append("metadata.view_duration_ms")
    if position is not None:
        if type(position) in _NUMBERS and 0 <= position <= 1:
            position = float(position)
        else:
            position = None
            wrong.append("metadata.video_position")
    if device is not None and type(device) is not str:
        device = None
        wrong.append("metadata.device_type")
    return Metadata(duration or 0, position, device)


def examine(value: bytes | None) -> tuple[Event | Rejected, tuple[str, ...]]:
    """Return the event in a value, or its rejection, and the names of invalid optional values.

    Never raises. Missing fields are reported before invalid ones, both in the order of the fields.
    """
    if not value:
        return Rejected("malformed_json", "the value is empty"), ()
    raw = _cut(value)
    if isinstance(raw, Rejected):
        return raw, ()
    required = _required(raw)
    if isinstance(required, Rejected):
        return required, ()
    wrong: list[str] = []
    optional = _valid(raw, _OPTIONAL, "", wrong)
    metadata = Metadata(**(_metadata_fields(bytes(raw.metadata), wrong) or {}))
    return Event(**required, **optional, metadata=metadata), tuple(wrong)


def known_fields(value: bytes) -> dict[str, Any] | None:
    """Return the valid fields of the event in a value, unconverted; None if it has no event.

    Unknown fields, and optional values that are invalid or null, are left out. The time stays text.
    """
    raw = _cut(value)
    if isinstance(raw, Rejected):
        return None
    required = _required(raw)
    if isinstance(required, Rejected):
        return None
    wrong: list[str] = []
    required["timestamp"] = _decode_text(raw.timestamp)
    fields = required | _valid(raw, _OPTIONAL, "", wrong)
    metadata = _metadata_fields(bytes(raw.metadata), wrong)
    if metadata is not None:
        fields["metadata"] = metadata
    return fields


def is_nested_too_deep(text: str) -> bool:
    """Whether a JSON text is nested deeper than MAX_DEPTH."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _cut(value: bytes) -> _RawEvent | Rejected:
    size = full_size(value)
    if size > MAX_VALUE_BYTES:
        return Rejected("too_large", f"{size} bytes, but at most {MAX_VALUE_BYTES} are allowed")
    try:
        if is_nested_too_deep(value.decode()):
            return Rejected("malformed_json", f"nested deeper than {MAX_DEPTH} levels")
        if not bytes(_decode_any(value)).startswith(b"{"):
            return NOT_AN_OBJECT
        return _decode_raw(value)
    except UnicodeDecodeError as error:
        return Rejected("malformed_json", f"broken UTF-8 at byte {error.start}")
    except (DecodeError, RecursionError) as error:
        return Rejected("malformed_json", str(error))


def _required(raw: _RawEvent) -> dict[str, Any] | Rejected:
    texts = {name: bytes(getattr(raw, name)) for name in _REQUIRED}
    for name, text in texts.items():
        if text == _ABSENT:
            return MISSING[name]
    fields: dict[str, Any] = {}
    for name, (decoder, _) in _REQUIRED.items():
        try:
            field = decoder.decode(texts[name])
            if name == "timestamp":
                field = parse_rfc3339(field)
        except (DecodeError, ValueError):
            return INVALID[name]
        if name == "event_type" and field not in EVENT_TYPES:
            return UNKNOWN_TYPE
        fields[name] = field
    return fields


def _valid(
    raw: Struct, decoders: dict[str, Decoder[Any]], prefix: str, wrong: list[str]
) -> dict[str, Any]:
    """Return the valid optional values; the names of invalid ones are appended to ``wrong``."""
    fields = {}
    for name, decoder in decoders.items():
        text = bytes(getattr(raw, name))
        if text not in (_ABSENT, _NULL):
            try:
                fields[name] = decoder.decode(text)
            except (DecodeError, ValueError):
                wrong.append(prefix + name)
    return fields


def _metadata_fields(text: bytes, wrong: list[str]) -> dict[str, Any] | None:
    if text in (_ABSENT, _NULL):
        return None
    try:
        raw = _decode_raw_metadata(text)
    except ValidationError:
        wrong.append("metadata")
        return None
    return _valid(raw, _METADATA, "metadata.", wrong)
