"""From the bytes of a record to an event: the fast path for what is right, as nearly all is.

What is not goes to models.lenient, which names the reason. Both give the same answer.
accelerator.scan does the same, compiled, for nearly all values, and leaves the rest to this.
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
# Too short to close what MAX_DEPTH levels open: needs no check of the nesting.
_SHORT: Final = 2 * MAX_DEPTH
# Where msgspec says that a wrong value is.
_OPTIONAL: Final = re.compile(r"`\$\.(?:creator_id|session_id|metadata)")
# A time that msgspec would round into the next millisecond.
_CARRY: Final = re.compile(r"\.\d{3}999[5-9]", re.ASCII)


def decode(value: bytes | None, dropped: list[str] | None = None) -> Event | Rejected:
    """The event in a record's value, or why there is none; never raises.

    The names of optional values that were wrong, and so were left out, are appended to `dropped`.
    """
    if value is not None:
        try:
            text = value.decode()
            # rpartition finds nothing a third faster than `in` does.
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
    """Whether the fast path may judge a value of ``size`` bytes that is not obviously harmless."""
    return (
        size <= MAX_VALUE_BYTES
        and "\\u003" not in text  # an escaped digit may hide from the search for a carry
        and (not text.rpartition("999")[1] or _CARRY.search(text) is None)
        and not is_nested_too_deep(text)
    )


def id_hash(event_id: str) -> int:
    """64 bits that stand for an event id: XXH3 of its UTF-8, the same in every process.

    Two of n ids of one user share a hash with a probability of about n**2 / 2**65.
    """
    try:
        return xxh3_64_intdigest(event_id.encode())
    except UnicodeEncodeError:  # a lone surrogate, which no JSON text yields
        return xxh3_64_intdigest(event_id.encode("utf-8", "surrogatepass"))
