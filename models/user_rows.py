"""Users' rows in memory, without tables: what the plain functions of reels count in.

accelerator.functions does the same, compiled.
"""

from models.counters import USER
from models.schema import Event
from models.user import UserWindows


class UserRows:
    """A row for each user, and what is sealed of those who have many ids."""

    def __init__(self, windows: UserWindows) -> None:
        """Count as ``windows`` does."""
        self._windows = windows
        self._rows: dict[bytes, bytes | None] = {}

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def get(self, key: bytes) -> bytes | None:
        """The row of a user, whose key is the decimal id; None when there is none."""
        return self._rows.get(key)

    def apply(self, event: Event, t_ms: int, id_hash: int, stream_time: int) -> bool:
        """Whether an event that is not late counted, or (False) is a duplicate.

        `stream_time` is the partition's, this event included.
        """
        return self._windows.apply(
            self._rows,
            b"%d" % event.user_id,
            USER.increments(event.event_type, event.metadata),
            t_ms,
            id_hash,
            stream_time,
        )

    def sweep(self, stream_time: int) -> None:
        """Drop the rows of which nothing counts any more."""
        is_expired = self._windows.is_expired
        self._rows = {
            key: row for key, row in self._rows.items() if row and not is_expired(row, stream_time)
        }
