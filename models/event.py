"""Decoding of a record's bytes to an event: the fast path for valid values, nearly all of them.

Other values go to models.lenient, which finds the reason. Both give the same answer.
accelerator.scan is the compiled form for nearly all values, and leaves the rest to this module.
"""

import re
from typing import Final

from msgspec import MsgspecError, ValidationError
from msgspec.json import Decoder
from xxhash import xxh3_64_intdigest

from models.cut import full_size
from models.lenient import decode_leniently, examine, is_nested_too_deep
from models.schema import (
    EVENT_TYPES,
    MAX_DEPTH,
    MAX_VALUE_BYTES,
    REASONS,
    Event,
    EventType,
    Metadata,
    Rejected,
)
from models.timestamps import timestamp_ms

__all__ = [
    "EVENT_TYPES",
    "MAX_VALUE_BYTES",
    "REASONS",
    "Event",
    "EventType",
    "Metadata",
    "Rejected",
    "decode",
    "id_hash",
    "timestamp_ms",
]

_decode: Final = Decoder(Event).decode
# A text of this length cannot close more than MAX_DEPTH levels: nesting needs no check.
_SHORT: Final = 2 * MAX_DEPTH
# The path of an invalid optional value in msgspec's message.
_OPTIONAL: Final = re.compile(r"`\$\.(?:creator_id|session_id|metadata)")
# A time that msgspec would round into the next millisecond.
_CARRY: Final = re.compile(r"\.\d{3}999[5-9]", re.ASCII)


def decode(value: bytes | None, dropped: list[str] | None = None) -> Event | Rejected:
    """Return the event in a record's value, or the reason why it has none; never raises.

    Invalid optional values are left out, and their names are appended to ``dropped``.
    """
    if value is not None:
        try:
            text = value.decode()
            # rpartition is a third faster than ``in`` if it finds nothing.
            if (
                len(text) <= _SHORT and "\\" not in text and not text.rpartition("999")[1]
            ) or _is_plain(text, full_size(value)):
                return _decode(text)
        except ValidationError as error:
            if _OPTIONAL.search(str(error)) is not None:
                found = decode_leniently(text)
                if found is not None:
                    if dropped is not None:
                        dropped += found[1]
                    return found[0]
        except (MsgspecError, ValueError, RecursionError):
            pass
    verdict, wrong = examine(value)
    if dropped is not None:
        dropped.extend(wrong)
    return verdict


def _is_plain(text: str, size: int) -> bool:
    """Whether the fast path may decode a value of ``size`` bytes that needs closer checks."""
    return (
        size <= MAX_VALUE_BYTES
        and "\\u00" not in text  # an escaped character may hide from the search for a carry
        and (not text.rpartition("999")[1] or _CARRY.search(text) is None)
        and not is_nested_too_deep(text)
    )


def id_hash(event_id: str) -> int:
    """Return 64 bits that identify an event id: XXH3 of its UTF-8, the same in every process.

    Among n ids of one user, two share a hash with a probability of about n**2 / 2**65.
    """
    try:
        return xxh3_64_intdigest(event_id.encode())
    except UnicodeEncodeError:  # a lone surrogate, impossible in decoded JSON
        return xxh3_64_intdigest(event_id.encode("utf-8", "surrogatepass"))
