"""Interfaces that both forms of the hot path implement: plain Python, and compiled.

The plain form is in models and tables, the compiled form in `accelerator`. A class has the name of
its protocol in both. The table "Twins" of docs/architecture.md lists the pairs, and a test checks
names and signatures of both forms against this module. An argument of the type Any must be of the
same form as the object that receives it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from models.chunk import R

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from models.chunk import ChunkOutcome, Overlay
    from models.counters import UserCounts
    from models.schema import Rejected
    from models.sums import Panes, Totals
    from models.video import Verdict
    from models.viral import ViralRule

#: None: the key is deleted.
Value = bytes | None


class UserWindows(Protocol):
    """Users' values, as chunks of events change them: see models.user.

    The other methods are called only by chunks of the same form.
    """

    def in_units(self, unit_ms: int, /) -> Self:
        """Return the functions on values whose panes are numbered by another unit of time."""


class PaneWindows(Protocol):
    """A table's values, as chunks of deltas change them: see models.pane_windows.

    The other methods are called only by chunks of the same form.
    """

    def in_units(self, unit_ms: int, /) -> Self:
        """Return the functions on values whose panes are numbered by another unit of time."""


class VideoWindows(PaneWindows, Protocol):
    """Videos' values; see models.video."""

    def judge(self, values: Any, t_ms: int, rule: ViralRule) -> list[Verdict]:
        """Return a rule's verdict on each video, by its rolling window at a time."""


class DeltaAccumulator(Protocol):
    """Sums of a source task's events for one table until the next commit; see models.deltas."""

    def __len__(self) -> int:
        """Count the pairs of key and pane."""

    def add(self, key: int, pane: int, increments: tuple[int, ...]) -> None:
        """Add an event's increment to each counter."""

    def records(
        self, source_partition: int, stream_time_ms: int, partitions: int, *, heartbeat: bool
    ) -> list[tuple[int, bytes]]:
        """Return the sums as records, each with its target partition, in that order."""


class Chunk(Protocol[R]):
    """Decoded records; see models.chunk."""

    @property
    def sent(self) -> npt.NDArray[np.int64]:
        """Timestamps of all records, in ms."""

    @property
    def keys(self) -> Sequence[bytes]:
        """Keys of the events to process, one per event, in their order."""

    @property
    def misplaced(self) -> list[tuple[R, int, bytes]]:
        """Misplaced records, each with its own partition and the key to send it with."""

    @property
    def future(self) -> list[tuple[R, int]]:
        """Records ahead of the clock, each with its event time in ms."""

    @property
    def rejected(self) -> list[tuple[R, Rejected]]:
        """Rejected records, each with the reason."""

    @property
    def dropped(self) -> list[str]:
        """Names of optional values that were left out because they were invalid."""

    def indexes(self, windows: Any, loaded: Any, stream_time: int | None) -> Sequence[bytes]:
        """Return the keys of the indexes of ids that :meth:`apply` will read."""

    def apply(
        self,
        windows: Any,
        rows: Overlay,
        stream_time: int | None,
        deltas: Any,
        video_step: int,
        creators: Any = None,
    ) -> ChunkOutcome[R]:
        """Process the events of this partition, in their order."""


class MakeChunk(Protocol):
    """A constructor that decodes records; see models.chunk.Chunk."""

    def __call__(
        self, records: Sequence[R], partition: int, partitions: int, latest_ms: int, /
    ) -> Chunk[R]:
        """Decode records of a partition; events later than ``latest_ms`` are in the future."""


class DeltaChunk(Protocol):
    """Unpacked delta records; see models.delta_chunk."""

    @property
    def latest(self) -> int:
        """The latest stream time of the sources, in ms; -1 without records."""

    @property
    def complete_from(self) -> int:
        """The latest stream time, in ms, from which a source sends everything; 0 if none says."""

    @property
    def keys(self) -> Sequence[bytes]:
        """Keys, one per row."""

    def apply(
        self, windows: Any, loaded: Any, dirty: Any, now: int, rule: ViralRule | None = None
    ) -> set[int]:
        """Add all rows, and return the videos that have enough views to be viral."""


class MakeDeltaChunk(Protocol):
    """A constructor that unpacks delta records; see models.delta_chunk.DeltaChunk."""

    def __call__(self, values: Iterable[bytes | None], /) -> DeltaChunk:
        """Unpack the values of delta records of one table."""


class Engagement(Protocol):
    """An event as the plain functions of reels count it; see models.user_rows."""

    @property
    def user_id(self) -> int:
        """The user's id."""

    @property
    def video_id(self) -> int:
        """The video's id."""

    @property
    def t_ms(self) -> int:
        """Event time in ms."""

    @property
    def id_hash(self) -> int:
        """The hash of the event's id, 64 bits."""

    def of_video(self) -> tuple[int, ...] | None:
        """Return the increment of each counter of its video; None if it adds nothing."""


class UserRows(Protocol):
    """Users' rows in memory, without tables; see models.user_rows."""

    def __len__(self) -> int:
        """Count the rows."""

    def get(self, key: bytes) -> bytes | None:
        """Return a user's row; None if there is none."""

    def metrics(self, user_id: int, t_ms: int) -> UserCounts:
        """Return the counts of a user's window at a time in ms."""

    def apply(self, event: Any, stream_time: int) -> bool:
        """Apply an event that is not late; return False if it is a duplicate."""

    def sweep(self, stream_time: int) -> None:
        """Drop expired rows."""


class Sums(Protocol):
    """Sums of the counters of many values; see models.sums."""

    def in_units(self, unit_ms: int, /) -> Self:
        """Return the sums of values whose panes are numbered by another unit of time."""

    def of(self, values: Any, stream_time: int, windows: tuple[Panes, ...], /) -> Totals:
        """Return the sums, at a time in ms, of values that exist and are not expired."""


class Layer(Protocol):
    """Values by key, in insertion order of the keys; the plain form is a dict."""

    def __len__(self) -> int:
        """Count the keys."""

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the keys."""

    def __contains__(self, key: object, /) -> bool:
        """Whether the layer has a key."""

    def __getitem__(self, key: bytes, /) -> Value:
        """Return the value of a key."""

    def get(self, key: bytes, otherwise: Value, /) -> Value:
        """Return the value of a key, or ``otherwise`` if the layer does not have it."""

    def __setitem__(self, key: bytes, value: Value, /) -> None:
        """Set the value of a key."""

    def keys(self) -> Iterable[bytes]:
        """Return all keys."""

    def items(self) -> Iterable[tuple[bytes, Value]]:
        """Return all keys and values."""

    def update(self, newer: Any, /) -> None:
        """Copy all keys and values of another layer of the same kind."""


class LookupResult(Protocol):
    """The values of requested keys, in their order; see tables.layers."""

    def __len__(self) -> int:
        """Count the requested keys, duplicates included."""

    def __getitem__(self, number: int, /) -> Value:
        """Return a value."""

    def __iter__(self) -> Iterator[Value]:
        """Iterate over the values."""

    @property
    def missing(self) -> list[bytes]:
        """The keys that are in no layer, each once."""

    def fill(self, values: list[Value], /) -> None:
        """Set the values of the missing keys, in their order."""

    def renew(self, layers: Sequence[Any], /) -> None:
        """Replace values by those that the layers have now."""


class WriteBatch(Protocol):
    """A batch of writes to RocksDB."""

    def put(self, key: bytes, value: bytes, /) -> None:
        """Write a value."""

    def delete(self, key: bytes, /) -> None:
        """Delete a key."""


class SortedEntries(Protocol):
    """Keys and values in key order; see tables.layers."""

    def put_into(self, batch: WriteBatch, most: int, /) -> bool:
        """Put up to ``most`` more entries into ``batch``; return whether any are left."""


class PackRecords(Protocol):
    """A packer of a layer's values into record batches; see ``accelerator.packing``."""

    def __call__(self, values: Layer, limit: int, /) -> Iterator[tuple[bytearray, int]]:
        """Yield batches with space for their headers, each with its number of records."""
