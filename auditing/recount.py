"""Users and videos counted anew, event by event, from the records of the input topic.

What is counted is counted twice: up to the offsets that the tables hold for sure (``sure``), and
up to those that they may hold (``most``). Both are the same while nothing comes in.
"""

from __future__ import annotations

from collections import Counter
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from auditing.values import id_key, pane_key
from models.event import Rejected, decode, id_hash, timestamp_ms
from models.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from auditing.values import Values
    from models.user import UserWindows
    from settings import Settings
    from streaming.batch import Record

_VIDEO_COUNTER: Final = {"video_view": 0, "like": 1, "comment": 2, "share": 3}

VideoCounters = tuple[int, int, int, int]

_COUNTS: Final = Struct("<8Q")
_NOTHING: Final = bytes(_COUNTS.size)


class Span(NamedTuple):
    """Offsets of one partition: a table holds what is before ``sure``, nothing from ``most`` on."""

    sure: int
    most: int


class VideoSums:
    """What all partitions together count of each video and pane."""

    def __init__(self, values: Values) -> None:
        """Begin with nothing, and keep it in ``values``."""
        self.values = values
        """By :func:`auditing.values.pane_key`: what is sure, and what may come on top of it."""

    def add(self, video_id: int, pane: int, counter: int, *, sure: bool) -> None:
        """Count one event."""
        key = pane_key(video_id, pane)
        counts = list(_COUNTS.unpack(self.values.get(key) or _NOTHING))
        counts[counter if sure else counter + 4] += 1
        self.values.put(key, _COUNTS.pack(*counts))

    def bounds(self, key: bytes) -> tuple[VideoCounters, VideoCounters]:
        """Return the least and the most that the table may have of a video's pane."""
        views, likes, comments, shares, *more = _COUNTS.unpack(self.values.get(key) or _NOTHING)
        return (views, likes, comments, shares), (
            *(views + more[0], likes + more[1]),
            *(comments + more[2], shares + more[3]),
        )


class _Rows:
    """Users and their sealed ids as they are so far; what changes goes to one of both values."""

    def __init__(self, recount: PartitionRecount, changes: Values) -> None:
        self.get = recount.most
        self._changes = changes

    def __setitem__(self, key: bytes, row: bytes | None) -> None:
        self._changes.put(key, row)


class PartitionRecount:
    """One partition of the input, and its users."""

    def __init__(
        self,
        partition: int,
        settings: Settings,
        windows: UserWindows,
        videos: VideoSums,
        refused: Collection[int],
        sure: Values,
        changed: Values,
    ) -> None:
        """Begin with nothing.

        Arguments:
            partition: its number.
            settings: those that the workers run with.
            windows: the functions on users' values.
            videos: where the counts of videos go.
            refused: offsets of events that were ahead of the clock when they were read.
            sure: where the users go, empty.
            changed: where users go that events beyond what is sure have changed, empty.
        """
        self.outcomes: Counter[str] = Counter()
        self.sure = sure
        self.changed = changed
        self.stream_time: int | None = None
        self._partition = partition
        self._partitions = settings.partitions
        self._video_step = settings.video_step
        self._windows = windows
        self._videos = videos
        self._refused = refused

    def most(self, key: bytes) -> bytes | None:
        """Return a user's value, or sealed ids, with all that may be in the table."""
        return self.changed.get(key) or self.sure.get(key)

    def fold(self, records: Sequence[Record], users: Span, videos: Span) -> None:
        """Count ``records``, the next of the partition."""
        for record in records:
            outcome = self._fold(record, users, videos)
            self.outcomes[outcome] += 1

    def _fold(self, record: Record, users: Span, videos: Span) -> str:
        event = decode(record.value)
        if isinstance(event, Rejected) or record.offset in self._refused:
            return "rejected"
        if partition_of(event.user_id, self._partitions) != self._partition:
            return "rekeyed"
        t_ms = timestamp_ms(event.timestamp)
        if self._windows.is_late(t_ms, self.stream_time):
            return "late"
        now = t_ms if self.stream_time is None else max(t_ms, self.stream_time)
        key = id_key(event.user_id)
        rows = _Rows(self, self.sure if record.offset < users.sure else self.changed)
        if not self._windows.apply(
            *(rows, key, event.event_type, t_ms),
            *(event.metadata.view_duration_ms, id_hash(event.event_id), now),
        ):
            return "duplicate"
        self.stream_time = now
        counter = _VIDEO_COUNTER.get(event.event_type)
        if counter is not None and record.offset < videos.most:
            pane = t_ms // self._video_step
            self._videos.add(event.video_id, pane, counter, sure=record.offset < videos.sure)
        return "applied"
