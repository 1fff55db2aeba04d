"""A chunk of records: decoded, sorted by partition, and applied to the users of one partition.

accelerator.chunk is the compiled form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from models.counters import CREATOR, USER, VIDEO
from models.entity import amounts_of
from models.event import Rejected, decode, id_hash, timestamp_ms
from models.partitioner import murmur2_partitions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from models.deltas import DeltaAccumulator
    from models.event import Event
    from models.user import UserWindows


class SourceRecord(Protocol):
    """The fields of a record that a chunk reads."""

    @property
    def timestamp(self) -> int:
        """Record timestamp in ms."""

    @property
    def value(self) -> bytes | None:
        """The JSON text of an event, or anything else."""


R = TypeVar("R", bound=SourceRecord)


class ChunkOutcome(NamedTuple, Generic[R]):
    """Outcomes of the events of a chunk that belong to its partition."""

    stream_time: int | None
    """Stream time after these events, in ms."""
    applied: int
    duplicate: int
    late: list[tuple[R, int]]
    """Late records, each with the stream time for which it was too late."""


class ChangedRows(Protocol):
    """Changed rows by key; None: the row is deleted."""

    def __contains__(self, key: object, /) -> bool:
        """Whether a row has changed."""

    def __getitem__(self, key: bytes, /) -> bytes | None:
        """Return a changed row."""

    def get(self, key: bytes, otherwise: bytes | None, /) -> bytes | None:
        """Return a changed row, or ``otherwise`` if the row has not changed."""

    def __setitem__(self, key: bytes, row: bytes | None, /) -> None:
        """Change a row."""


class Overlay:
    """Rows of one users' partition, as a chunk reads and changes them."""

    __slots__ = ("_read", "ahead", "dirty", "indexes", "loaded")

    def __init__(
        self,
        dirty: ChangedRows,
        loaded: Iterable[bytes | None],
        indexes: Iterable[bytes | None],
        read: Callable[[bytes], bytes | None],
    ) -> None:
        """Combine changed rows with loaded ones.

        Arguments:
            dirty: receives changes, and has precedence over the other rows.
            loaded: the rows of the chunk's keys, in their order.
            indexes: the rows of the keys from :meth:`Chunk.indexes`, in their order.
            read: reads any other row, such as a block of sealed ids, which is rarely needed.
        """
        self.dirty = dirty
        self.loaded = loaded
        self.indexes = indexes
        #: ``loaded`` and ``indexes`` by key, filled by :meth:`Chunk.apply`.
        self.ahead: dict[bytes, bytes | None] = {}
        self._read = read

    def get(self, key: bytes) -> bytes | None:
        """Return the current row."""
        if key in self.dirty:
            return self.dirty[key]
        return self.ahead[key] if key in self.ahead else self._read(key)

    def __setitem__(self, key: bytes, row: bytes | None) -> None:
        """Change a row."""
        self.dirty[key] = row


class Chunk(Generic[R]):
    """Decoded records."""

    __slots__ = (
        "_events",
        "_indexes",
        "_records",
        "dropped",
        "future",
        "keys",
        "misplaced",
        "rejected",
        "sent",
    )

    def __init__(
        self, records: Sequence[R], partition: int, partitions: int, latest_ms: int
    ) -> None:
        """Decode ``records``; each of them ends up in exactly one of the lists.

        Arguments:
            records: records of one partition, in their order.
            partition: that partition.
            partitions: the number of partitions.
            latest_ms: events with a later time are in the future.
        """
        #: Timestamps of all records, in ms.
        self.sent = np.fromiter((record.timestamp for record in records), np.int64, len(records))
        #: Keys of the events to process, one per event, in their order.
        self.keys: list[bytes] = []
        #: Misplaced records, each with its own partition and the key to send it with.
        self.misplaced: list[tuple[R, int, bytes]] = []
        #: Records ahead of the clock, each with its event time in ms.
        self.future: list[tuple[R, int]] = []
        self.rejected: list[tuple[R, Rejected]] = []
        #: Names of optional values that were left out because they were invalid.
        self.dropped: list[str] = []
        self._records: list[R] = []
        self._events: list[tuple[Event, int]] = []
        self._indexes: list[bytes] = []
        decoded: list[tuple[R, Event, int]] = []
        for record in records:
            event = decode(record.value, self.dropped)
            if isinstance(event, Rejected):
                self.rejected.append((record, event))
            elif (t_ms := timestamp_ms(event.timestamp)) > latest_ms:
                self.future.append((record, t_ms))
            else:
                decoded.append((record, event, t_ms))
        found = murmur2_partitions([event.user_id for _, event, _ in decoded], partitions).tolist()
        for (record, event, t_ms), right in zip(decoded, found, strict=True):
            key = b"%d" % event.user_id
            if right == partition:
                self.keys.append(key)
                self._records.append(record)
                self._events.append((event, t_ms))
            else:
                self.misplaced.append((record, right, key))

    def indexes(
        self, windows: UserWindows, loaded: Iterable[bytes | None], stream_time: int | None
    ) -> Sequence[bytes]:
        """Return the keys of the indexes of ids that :meth:`apply` will read, by the loaded rows.

        Arguments:
            windows: the functions on users' values.
            loaded: the rows of this chunk's keys, in their order.
            stream_time: stream time before the chunk, in ms; None before the first event.
        """
        if stream_time is not None:
            asked = (
                windows.index_asked(key, value, stream_time)
                for key, value in zip(self.keys, loaded, strict=True)
            )
            self._indexes = [key for key in asked if key is not None]
        return self._indexes

    def apply(
        self,
        windows: UserWindows,
        rows: Overlay,
        stream_time: int | None,
        deltas: DeltaAccumulator,
        video_step: int,
        creators: DeltaAccumulator | None = None,
    ) -> ChunkOutcome[R]:
        """Process the events of this partition, in their order.

        Arguments:
            windows: the functions on users' values.
            rows: the partition's users; the row, or None, of each key and index is loaded.
            stream_time: stream time before the chunk, in ms; None before the first event.
            deltas: receives the increments of videos.
            video_step: length of a video's pane, in ms.
            creators: receives the increments of creators, in panes of the users' step.
        """
        step = windows.slices.step
        apply, is_late = windows.apply, windows.is_late
        of_user, of_video, of_creator = USER.added, VIDEO.added, CREATOR.added
        rows.ahead.update(zip(self._indexes, rows.indexes, strict=True))
        rows.ahead.update(zip(self.keys, rows.loaded, strict=True))
        late: list[tuple[R, int]] = []
        applied = duplicate = 0
        for record, key, (event, t_ms) in zip(self._records, self.keys, self._events, strict=True):
            if is_late(t_ms, stream_time):
                late.append((record, stream_time or 0))
                continue
            now = t_ms if stream_time is None or t_ms > stream_time else stream_time
            kind, amounts = event.event_type, amounts_of(event.metadata)
            added = of_user[kind](amounts)
            if not apply(rows, key, added, t_ms, id_hash(event.event_id), now):
                duplicate += 1
                continue
            applied += 1
            stream_time = now
            if kind in VIDEO.event_types:
                deltas.add(event.video_id, t_ms // video_step, of_video[kind](amounts))
            if creators is not None and kind in CREATOR.event_types:
                creator_id = event.creator_id
                if creator_id is not None:
                    creators.add(creator_id, t_ms // step, of_creator[kind](amounts))
        return ChunkOutcome(stream_time, applied, duplicate, late)
