"""Fast paths between events and dicts: JSON text to a dict, and a dict to an event.

They cover only the usual forms. For anything else each function returns None, and the caller uses
the general path, which gives the same result: `models.lenient.known_fields`, or an encoding to JSON
and `models.event.decode`. accelerator.user_rows has the second fast path, compiled.
"""

from datetime import datetime
from typing import Any, Final

from msgspec import MsgspecError, Struct
from msgspec.json import Decoder

from models.lenient import NullableMetadata
from models.schema import (
    EVENT_TYPES,
    MAX_DEPTH,
    MAX_DURATION_MS,
    MAX_ID,
    MAX_ID_LENGTH,
    Event,
    EventId,
    EventType,
    Id,
    Metadata,
)

_TYPES: Final = frozenset(EVENT_TYPES)
# A text of this length cannot close more than MAX_DEPTH levels, and is never too large.
_SHORT: Final = 2 * MAX_DEPTH


class _Fields(Struct, gc=False):
    event_id: EventId
    event_type: EventType
    user_id: Id
    video_id: Id
    timestamp: str
    creator_id: Id | None = None
    session_id: str | None = None
    metadata: NullableMetadata | None = None


_decode: Final = Decoder(_Fields).decode
_NONE_GIVEN: Final[dict[str, Any]] = {}


def usual_moment(text: str) -> datetime | None:
    """Parse a text such as 2025-01-15T14:30:45.123Z; None if it has another form."""
    if (
        len(text) == 24  # noqa: PLR2004 - of the form above
        and text[10] == "T"
        and text[23] == "Z"
        and text[4] == text[7] == "-"
        and text[13] == text[16] == ":"
        and text[19] == "."
        and text[11:13] != "24"  # newer Pythons take 24:00 for midnight
    ):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    return None


def usual_fields(text: str | bytes | bytearray) -> dict[str, Any] | None:
    """Return the known_fields of a JSON event without any fault; None otherwise."""
    try:
        if not isinstance(text, str):
            text = text.decode()
        if len(text) > _SHORT or type(text) is not str:
            return None
        found = _decode(text)
    except (MsgspecError, ValueError, RecursionError):
        return None
    if usual_moment(found.timestamp) is None:
        return None
    fields: dict[str, Any] = {
        "event_id": found.event_id,
        "event_type": found.event_type,
        "user_id": found.user_id,
        "video_id": found.video_id,
        "timestamp": found.timestamp,
    }
    if found.creator_id is not None:
        fields["creator_id"] = found.creator_id
    if found.session_id is not None:
        fields["session_id"] = found.session_id
    if found.metadata is not None:
        fields["metadata"] = _metadata_fields(found.metadata)
    return fields


def _metadata_fields(given: NullableMetadata) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if given.view_duration_ms is not None:
        fields["view_duration_ms"] = given.view_duration_ms
    if given.video_position is not None:
        fields["video_position"] = given.video_position
    if given.device_type is not None:
        fields["device_type"] = given.device_type
    return fields


def usual_event(given: object) -> Event | None:
    """Return the event in a dict that has only known, valid fields; None otherwise."""
    # A subclass may behave differently; encoding it to JSON decides.
    if type(given) is not dict:
        return None
    get = given.get
    event_id, timestamp = get("event_id"), get("timestamp")
    event_type: Any = get("event_type")
    user_id: Any = get("user_id")
    video_id: Any = get("video_id")
    creator_id, session_id = get("creator_id"), get("session_id")
    metadata = _usual_metadata(get("metadata", _NONE_GIVEN))
    known = 5 + (creator_id is not None) + (session_id is not None) + ("metadata" in given)
    if (
        metadata is not None
        and known == len(given)
        and _is_text(event_id)
        and event_id
        and _is_text(event_type)
        and event_type in _TYPES
        and _is_number(user_id)
        and _is_number(video_id)
        and (creator_id is None or _is_number(creator_id))
        and (session_id is None or _is_text(session_id))
        and type(timestamp) is str
        and (moment := usual_moment(timestamp)) is not None
    ):
        return Event(
            event_id, event_type, user_id, video_id, moment, creator_id, session_id, metadata
        )
    return None


def _usual_metadata(given: object) -> Metadata | None:
    if type(given) is not dict:
        return None
    duration = given.get("view_duration_ms", 0)
    if type(duration) is not int or not 0 <= duration <= MAX_DURATION_MS:
        return None
    position, device = given.get("video_position"), given.get("device_type")
    known = ("view_duration_ms" in given) + (position is not None) + (device is not None)
    if position is not None and (type(position) is not float or not 0 <= position <= 1):
        return None
    if device is not None and not _is_text(device):
        return None
    return Metadata(duration, position, device) if known == len(given) else None


def _is_text(given: object) -> bool:
    """Whether a value is an ASCII string, no longer than an id may be."""
    return type(given) is str and given.isascii() and len(given) <= MAX_ID_LENGTH


def _is_number(given: object) -> bool:
    """Whether a value is an integer from 0 to 2**63 - 1, and not a bool."""
    return type(given) is int and 0 <= given <= MAX_ID
