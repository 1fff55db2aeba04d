"""Kinds of the load's records."""

from __future__ import annotations

from enum import IntEnum


class EventKind(IntEnum):
    """Types of events that count, followed by kinds of records that do not."""

    VIDEO_VIEW = 0
    LIKE = 1
    COMMENT = 2
    SHARE = 3
    SAVE = 4
    FOLLOW = 5
    DUPLICATE = 6
    LATE = 7
    MALFORMED_JSON = 8
    BROKEN_UTF8 = 9
    NOT_AN_OBJECT = 10
    MISSING_FIELD = 11
    INVALID_FIELD = 12
    UNKNOWN_EVENT_TYPE = 13
    FUTURE_TIMESTAMP = 14
    TOO_LARGE = 15

    @property
    def label(self) -> str:
        """The name in events and reports."""
        return self.name.lower()

    @property
    def counts(self) -> bool:
        """Whether a worker must apply it."""
        return self <= EventKind.FOLLOW

    @property
    def reason(self) -> str | None:
        """The reason for its rejection, None if it is not rejected."""
        if self < EventKind.LATE:
            return None
        return "malformed_json" if self is EventKind.BROKEN_UTF8 else self.label


EVENT_TYPES = tuple(kind for kind in EventKind if kind.counts)
REJECTS = tuple(kind for kind in EventKind if kind >= EventKind.MALFORMED_JSON)
