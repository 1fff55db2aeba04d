"""What both forms of the hot path are: the plain one, in models and tables, and the compiled one.

But for the windows, a class has one name: here, in its plain form, and in `accelerator`. The table
"Twins" of docs/architecture.md has the pairs, and a test holds both forms to the names and
signatures here. What an argument of the type Any takes is of the same form as the object that takes
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from models.chunk import R

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from models.chunk import Folded, Overlay
    from models.counters import UserCounts
    from models.schema import Rejected
    from models.sums import Panes, Totals
    from models.video import Verdict
    from models.viral import ViralRule

Value = bytes | None
"""None: the key is deleted."""


class UserWindows(Protocol):
    """What chunks of events do to users' values: models.user, compiled Histories.

    Only chunks of the same form call the rest of it.
    """

    def in_units(self, unit_ms: int, /) -> Self:
        """Return the functions on values whose panes are numbered by another unit of time."""


class PaneWindows(Protocol):
    """What chunks of deltas do to a table's values: models.pane_windows, compiled Counters.

    Only chunks of the same form call the rest of it.
    """

    def in_units(self, unit_ms: int, /) -> Self:
        """Return the functions on values whose panes are numbered by another unit of time."""


class VideoWindows(PaneWindows, Protocol):
    """The same for videos: models.video, compiled Counters."""

    def judge(self, values: Any, t_ms: int, rule: ViralRule) -> list[Verdict]:
        """Return what a rule says of videos by their rolling windows at a time."""


class Gathered(Protocol):
    """What a source task's events add to a table until its next commit; see models.deltas."""

    def __len__(self) -> int:
        """Count the pairs of a key and a pane."""

    def add(self, key: int, pane: int, increments: tuple[int, ...]) -> None:
        """Add what an event adds to each counter."""

    def records(
        self, source_partition: int, stream_time_ms: int, partitions: int, *, tick: bool
    ) -> list[tuple[int, bytes]]:
        """Return records of all this, each with the partition of its keys, in their order."""


class Chunk(Protocol[R]):
    """Records, decoded; see models.chunk."""

    @property
    def sent(self) -> npt.NDArray[np.int64]:
        """Timestamps of all records, in ms."""

    @property
    def keys(self) -> Sequence[bytes]:
        """Keys of the events to be folded, one an event, in their order."""

    @property
    def foreign(self) -> list[tuple[R, int, bytes]]:
        """Records of other partitions, each with its partition and the key to send it with."""

    @property
    def future(self) -> list[tuple[R, int]]:
        """Records of the future, each with its time in ms."""

    @property
    def rejected(self) -> list[tuple[R, Rejected]]:
        """Records that are no events, each with the reason."""

    @property
    def dropped(self) -> list[str]:
        """Names of the optional values that were wrong, and so were left out."""

    def indexes(self, windows: Any, loaded: Any, stream_time: int | None) -> Sequence[bytes]:
        """Return the keys of the indexes of ids that a fold asks for."""

    def apply(
        self,
        windows: Any,
        rows: Overlay,
        stream_time: int | None,
        deltas: Any,
        video_step: int,
        creators: Any = None,
    ) -> Folded[R]:
        """Fold the events of this partition, in their order."""


class MakeChunk(Protocol):
    """Decodes records; see models.chunk.Chunk."""

    def __call__(
        self, records: Sequence[R], partition: int, partitions: int, latest_ms: int, /
    ) -> Chunk[R]:
        """Decode records of a partition; events later than ``latest_ms`` are of the future."""


class DeltaChunk(Protocol):
    """Delta records, unpacked; see models.delta_chunk."""

    @property
    def latest(self) -> int:
        """The latest stream time of their sources, in ms; -1 without records."""

    @property
    def complete_from(self) -> int:
        """The latest stream time from which on one of them sends all, in ms; 0: none says."""

    @property
    def keys(self) -> Sequence[bytes]:
        """Keys, one a row."""

    def apply(
        self, windows: Any, loaded: Any, dirty: Any, now: int, rule: ViralRule | None = None
    ) -> set[int]:
        """Add all rows up, and return the videos that may be viral by their views."""


class MakeDeltaChunk(Protocol):
    """Unpacks delta records; see models.delta_chunk.DeltaChunk."""

    def __call__(self, values: Iterable[bytes | None], /) -> DeltaChunk:
        """Unpack the values of delta records of one table."""


class Engagement(Protocol):
    """An event as the plain functions count it; see models.user_rows."""

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
        """Return what it adds to each counter of its video; None: nothing."""


class UserRows(Protocol):
    """Users' rows in memory, without tables; see models.user_rows."""

    def __len__(self) -> int:
        """Count the rows."""

    def get(self, key: bytes) -> bytes | None:
        """Return the row of a user; None when there is none."""

    def metrics(self, user_id: int, t_ms: int) -> UserCounts:
        """Return the counts of a user's window at a time in ms."""

    def apply(self, event: Any, stream_time: int) -> bool:
        """Return whether an event that is not late counted, or (False) is a duplicate."""

    def sweep(self, stream_time: int) -> None:
        """Drop the rows of which nothing counts any more."""


class Sums(Protocol):
    """Sums the counters of many values; see models.sums."""

    def in_units(self, unit_ms: int, /) -> Self:
        """Return the same of values whose panes are numbered by another unit of time."""

    def of(self, values: Any, stream_time: int, windows: tuple[Panes, ...], /) -> Totals:
        """Return the sums at a time in ms of the values of whose keys anything is known."""


class Layer(Protocol):
    """Values by key, in the order in which their keys came; the plain form is a dict."""

    def __len__(self) -> int:
        """Count the keys."""

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the keys."""

    def __contains__(self, key: object, /) -> bool:
        """Whether there is anything of a key."""

    def __getitem__(self, key: bytes, /) -> Value:
        """Return what there is of a key."""

    def get(self, key: bytes, otherwise: Value, /) -> Value:
        """Return what there is of a key, or (nothing) what to return otherwise."""

    def __setitem__(self, key: bytes, value: Value, /) -> None:
        """Change it."""

    def keys(self) -> Iterable[bytes]:
        """Return all keys."""

    def items(self) -> Iterable[tuple[bytes, Value]]:
        """Return all keys and values."""

    def update(self, newer: Any, /) -> None:
        """Take over what another layer of this kind has."""


class Found(Protocol):
    """The values of some keys in their order; see tables.layers."""

    def __len__(self) -> int:
        """Count the keys, each as often as it was asked for."""

    def __getitem__(self, number: int, /) -> Value:
        """Return a value."""

    def __iter__(self) -> Iterator[Value]:
        """Iterate over the values."""

    @property
    def missing(self) -> list[bytes]:
        """The keys that no layer had, each once."""

    def fill(self, values: list[Value], /) -> None:
        """Say what the missing keys' values are, in their order."""

    def renew(self, layers: Sequence[Any], /) -> None:
        """Take what the layers say now of keys that any of them has."""


class Batch(Protocol):
    """Takes what RocksDB is to write at once."""

    def put(self, key: bytes, value: bytes, /) -> None:
        """Write a value."""

    def delete(self, key: bytes, /) -> None:
        """Delete a key."""


class InOrder(Protocol):
    """Keys and values in the order of the keys; see tables.layers."""

    def put_into(self, batch: Batch, most: int, /) -> bool:
        """Put the next ones, ``most`` or all, into ``batch``; return whether some are left."""


class PackRecords(Protocol):
    """Packs a layer's values into batches of records; see ``accelerator.packing``."""

    def __call__(self, values: Layer, limit: int, /) -> Iterator[tuple[bytearray, int]]:
        """Yield batches, with room for their headers, and how many records each has."""
