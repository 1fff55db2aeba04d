"""Users' rows in memory, without tables, for the plain functions of reels.

accelerator.user_rows is the compiled form.
"""

from typing import NamedTuple, Self

from models.counters import USER, VIDEO, UserCounts
from models.direct import usual_event
from models.event import id_hash, timestamp_ms
from models.schema import Event, EventType, Metadata
from models.user import UserWindows


class Engagement(NamedTuple):
    """An event as it is counted: the time in ms, the id as a hash."""

    user_id: int
    video_id: int
    event_type: EventType
    t_ms: int
    id_hash: int
    metadata: Metadata

    @classmethod
    def of(cls, event: Event) -> Self:
        """Create from a decoded event."""
        return cls(
            event.user_id,
            event.video_id,
            event.event_type,
            timestamp_ms(event.timestamp),
            id_hash(event.event_id),
            event.metadata,
        )

    def of_video(self) -> tuple[int, ...] | None:
        """Return the increment of each counter of its video; None if it adds nothing."""
        if self.event_type not in VIDEO.event_types:
            return None
        return VIDEO.increments(self.event_type, self.metadata)


def usual_engagement(given: object) -> Engagement | None:
    """Return the event in a dict that has only known, valid fields; None otherwise."""
    event = usual_event(given)
    return None if event is None else Engagement.of(event)


class UserRows:
    """One row per user, and the rows of sealed ids."""

    def __init__(self, windows: UserWindows) -> None:
        """Start empty, with the functions of ``windows``."""
        self._windows = windows
        self._rows: dict[bytes, bytes | None] = {}

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._rows)

    def get(self, key: bytes) -> bytes | None:
        """Return a user's row by the key, the decimal id; None if there is none."""
        return self._rows.get(key)

    def metrics(self, user_id: int, t_ms: int) -> UserCounts:
        """Return the counts of a user's window at a time in ms."""
        return self._windows.metrics(self._rows.get(b"%d" % user_id), t_ms)

    def apply(self, event: Engagement, stream_time: int) -> bool:
        """Apply an event that is not late; return False if it is a duplicate.

        ``stream_time`` is the partition's, this event included.
        """
        return self._windows.apply(
            self._rows,
            b"%d" % event.user_id,
            USER.increments(event.event_type, event.metadata),
            event.t_ms,
            event.id_hash,
            stream_time,
        )

    def sweep(self, stream_time: int) -> None:
        """Drop expired rows."""
        is_expired = self._windows.is_expired
        self._rows = {
            key: row for key, row in self._rows.items() if row and not is_expired(row, stream_time)
        }
