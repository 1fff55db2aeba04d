"""The input event as typed records, and the reasons for rejection.

accelerator.scan has the fields and limits, compiled.
"""

from typing import Annotated, Final, Literal, NamedTuple, get_args

from msgspec import Meta, Struct, field

from models.timestamps import AwareDatetime

MAX_VALUE_BYTES: Final = 1_048_576
#: Deepest nesting of a value: well below the interpreter's recursion limit, where a decoder would
#: end at a depth that depends on the caller's stack.
MAX_DEPTH: Final = 256

EventType = Literal["video_view", "like", "comment", "share", "save", "follow"]
EVENT_TYPES: Final[tuple[str, ...]] = get_args(EventType)

MAX_ID: Final = 2**63 - 1
MAX_ID_LENGTH: Final = 128
MAX_DURATION_MS: Final = 2**53

EventId = Annotated[str, Meta(min_length=1, max_length=MAX_ID_LENGTH)]
Id = Annotated[int, Meta(ge=0, le=MAX_ID)]
DurationMs = Annotated[int, Meta(ge=0, le=MAX_DURATION_MS)]
Position = Annotated[float, Meta(ge=0, le=1)]

REASONS: Final = (
    "malformed_json",
    "not_an_object",
    "missing_field",
    "invalid_field",
    "unknown_event_type",
    "too_large",
    "future_timestamp",
    "late",
)

#: Outcomes of records, by their names in the metrics; each record gets exactly one.
OUTCOMES: Final = ("applied", "duplicate", "late", "rejected", "rekeyed")

#: Header with the app's name in records for other programs: dead letters and viral flags.
SOURCE_APP: Final = "source.app"


class Metadata(Struct, gc=False):
    """How a video was watched; durations in milliseconds, the position from 0 to 1."""

    view_duration_ms: DurationMs = 0
    video_position: Position | None = None
    device_type: str | None = None


class Event(Struct, gc=False):
    """One engagement of a user with a video."""

    event_id: EventId
    event_type: EventType
    user_id: Id
    video_id: Id
    timestamp: AwareDatetime
    creator_id: Id | None = None
    session_id: str | None = None
    metadata: Metadata = field(default_factory=Metadata)


class Rejected(NamedTuple):
    """The rejection of a value: one of REASONS, and a text for people."""

    reason: str
    detail: str
