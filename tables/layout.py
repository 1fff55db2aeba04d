"""The layout record of a table's partition: value format, window, stream time and positions.

With the stream time, a restart decides late and duplicate as if it had not happened. Positions are
those in the source topics. The record is one more row of each partition, in RocksDB and in the
changelog, and part of every commit that changes stream time or positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self
from uuid import uuid4

import msgspec

from models.windows import format_duration

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from models.rows import FindForeign
    from models.windows import Slices

#: Prefix of internal keys; keys of the tables start with a decimal number.
INTERNAL_PREFIX = b"__"
LAYOUT_KEY = b"__reels\0layout__"

#: Version of the record while rows are moved here from another table: no program accepts it.
UNFINISHED = 0

#: The same while a changelog is rewritten from a disk.
REWRITING = -1


class LayoutError(Exception):
    """The stored table is incompatible with this worker's version or settings."""


class ForeignCopyError(Exception):
    """The changelog belongs to another table than the local copy."""


class LastCopyError(Exception):
    """The local copy's changelog was replaced or truncated, so the copy may be the last one.

    The text says which of the two, to be shown after the changelog's name.
    """


class Position(NamedTuple):
    """A table's position in a partition of a source topic."""

    offset: int
    """Offset of the next record to be processed."""
    topic_id: str
    """Id of the topic, as Kafka's tools show it; empty if the brokers have no ids."""


class TablePositions(NamedTuple):
    """A table partition's positions in its source topics."""

    changelog: str
    positions: Mapping[str, Position] | None
    """By topic. None: the table does not exist yet. Empty: an earlier release committed last."""


class Windows(Protocol):
    """The functions on a table's values that the storage needs."""

    def is_expired(self, value: bytes, stream_time_ms: int, /) -> bool:
        """Whether a value is expired at a stream time in ms."""

    def in_units(self, unit_ms: int, /) -> Self:
        """Return the functions on values whose panes are numbered by another unit of time."""

    def in_steps(self, row: bytes, /) -> bytes:
        """Return a row with its panes numbered by the step."""

    def in_finer_units(self, row: bytes, factor: int, /) -> bytes:
        """Return a row with its panes numbered by a unit that is ``factor`` times shorter."""


class _AnyValues:
    """Functions on values without panes, which never expire."""

    def is_expired(self, _value: bytes, _stream_time: int) -> bool:
        return False

    def in_units(self, _unit: int) -> Self:
        return self

    def in_steps(self, row: bytes) -> bytes:
        return row

    def in_finer_units(self, row: bytes, _factor: int) -> bytes:
        return row


ANY_VALUES = _AnyValues()


class _Record(msgspec.Struct, frozen=True):
    """The stored layout record."""

    version: int
    size: int
    step: int
    """The unit by which panes are numbered: the step with which the table was built."""
    stream_time: int | None = None
    table_id: str = ""
    partitions: int = 0
    """Number of the table's partitions; 0 in earlier releases."""
    positions: dict[str, Position] = {}
    """By source topic; empty in earlier releases."""
    feeds: list[str] = []
    """The optional tables that have received all counts of this table."""
    complete_from: int = 0
    """The stream time in ms from which counts are complete; 0: from the start."""
    coarser_step: int = 0
    """The step of the windows, if it differs from the unit of the panes; 0: it does not."""
    rules: dict[str, str] = {}
    """Other settings as text, by variable name; empty in earlier releases."""
    rewritten_version: int = 0
    """The version to be, while a changelog is rewritten."""
    former_id: str = ""
    """The id before, while a changelog is rewritten."""


@dataclass(frozen=True, slots=True)
class StoreFormat:
    """Version of the value codec, window size and step in ms.

    Stored with the stream time in ms, and with a random id that is drawn when a partition is first
    written. A copy on disk and a changelog with different ids belong to different tables, even if
    their offsets match.
    """

    version: int
    size: int
    step: int
    older: Collection[int] = ()
    """Older versions that the codec reads; it writes its own."""
    find_foreign: FindForeign | None = None
    """Finds rows that no table of this layout can have."""
    partitions: int = 0
    """Number of the table's partitions, which determines each key's partition. 0: any number."""
    windows: Windows = ANY_VALUES
    """The functions on its values."""
    rules: Mapping[str, str] = field(default_factory=dict)
    """The other settings that change the table's content, as text, by variable name."""
    said: set[str] = field(default_factory=set, compare=False)
    """Changes that this process has logged already: each partition of the table finds them."""

    @classmethod
    def of(
        cls,
        version: int,
        slices: Slices,
        older: Collection[int] = (),
        find_foreign: FindForeign | None = None,
        partitions: int = 0,
        windows: Windows = ANY_VALUES,
        rules: Mapping[str, str] | None = None,
    ) -> StoreFormat:
        """Return the layout for these settings."""
        of_slices = version, slices.size, slices.step, older
        return cls(*of_slices, find_foreign, partitions, windows, rules or {})

    @staticmethod
    def new_id() -> str:
        """Draw an id."""
        return uuid4().hex

    @staticmethod
    def moved_id(app_id: str) -> str:
        """Draw an id for a table whose rows come from another app's."""
        return f"{uuid4().hex}:{app_id}"

    @staticmethod
    def origin_of(stored: bytes | None) -> str | None:
        """Return the app whose rows were moved to this table; None if none were."""
        table_id = StoreFormat.id_of(stored) or ""
        return table_id.partition(":")[2] or None

    @staticmethod
    def is_unfinished(stored: bytes | None) -> bool:
        """Whether rows are still being moved here."""
        return stored is not None and _decoded(stored).version == UNFINISHED

    def encode_unfinished(self, table_id: str) -> bytes:
        """Return the value of a record that marks a table as incomplete."""
        return msgspec.json.encode(
            _Record(UNFINISHED, self.size, self.step, None, table_id, self.partitions)
        )

    @staticmethod
    def is_rewriting(stored: bytes | None) -> bool:
        """Whether the changelog is being rewritten from a disk."""
        return stored is not None and _decoded(stored).version == REWRITING

    @staticmethod
    def rewriting(stored: bytes, table_id: str) -> bytes:
        """Return a record with a mark that the changelog is incomplete, and with another id."""
        found = _decoded(stored)
        return msgspec.json.encode(
            msgspec.structs.replace(
                found,
                version=REWRITING,
                rewritten_version=found.version,
                table_id=table_id,
                former_id=found.table_id,
            )
        )

    @staticmethod
    def rewritten(stored: bytes) -> bytes:
        """Return a record without the mark of :meth:`rewriting`, under its id."""
        found = _decoded(stored)
        return msgspec.json.encode(
            msgspec.structs.replace(
                found, version=found.rewritten_version, rewritten_version=0, former_id=""
            )
        )

    @staticmethod
    def former_id_of(stored: bytes | None) -> str:
        """Return the id before the mark of :meth:`rewriting`; empty without the mark."""
        return "" if stored is None else _decoded(stored).former_id

    @staticmethod
    def renewed_id(stored: bytes) -> str:
        """Draw an id for the table of a record; it names the same origin."""
        origin = StoreFormat.origin_of(stored)
        return StoreFormat.new_id() if origin is None else StoreFormat.moved_id(origin)

    def changes_of(self, stored: bytes | None) -> list[str]:
        """Return the changes that these settings make to a table stored with others."""
        found = None if stored is None else _decoded(stored)
        if found is None:
            return []
        changes, step = [], found.coarser_step or found.step
        if found.size > self.size:
            changes.append(
                f"the window changes to {format_duration(self.size)} from "
                f"{format_duration(found.size)}: older counts are dropped when a key changes"
            )
        if step < self.step:
            changes.append(
                f"the step changes to {format_duration(self.step)} from "
                f"{format_duration(step)}: panes are merged when a key changes or is read"
            )
        changes += [
            f"{name} changes to {rule} from {found.rules[name]}"
            for name, rule in self.rules.items()
            if found.rules.get(name, rule) != rule
        ]
        return changes

    def unit_of(self, stored: bytes | None) -> int:
        """Return the unit in ms by which panes are numbered: the step, or a finer one."""
        return self.step if stored is None else _decoded(stored).step

    @staticmethod
    def id_of(stored: bytes | None) -> str | None:
        """Return the id in a stored record; None without a record."""
        return None if stored is None else _decoded(stored).table_id

    @staticmethod
    def positions_of(stored: bytes | None) -> dict[str, Position] | None:
        """Return the positions in a stored record by source topic; None without a record."""
        return None if stored is None else _decoded(stored).positions

    @staticmethod
    def feeds_of(stored: bytes | None) -> frozenset[str]:
        """Return the optional tables that have received all counts of this one."""
        return frozenset(msgspec.json.decode(stored, type=_Record).feeds if stored else ())

    @staticmethod
    def complete_from_of(stored: bytes | None) -> int:
        """Return the stream time in ms from which counts are complete; 0: from the start."""
        return msgspec.json.decode(stored, type=_Record).complete_from if stored else 0

    def encode(
        self,
        stream_time: int | None,
        table_id: str,
        positions: Mapping[str, Position],
        feeds: Collection[str] = (),
        complete_from: int = 0,
        unit: int | None = None,
    ) -> bytes:
        """Return the record's value, as of ``stream_time`` and ``positions``.

        ``unit`` is the unit by which panes are numbered; None: the step.
        """
        return msgspec.json.encode(
            _Record(
                self.version,
                self.size,
                unit or self.step,
                stream_time,
                table_id,
                self.partitions,
                dict(positions),
                sorted(feeds),
                complete_from,
                0 if unit in {None, self.step} else self.step,
                dict(self.rules),
            )
        )

    def stored_stream_time(self, table: str, stored: bytes | None) -> int | None:
        """Return the stream time in ``stored``; None if nothing is stored.

        Raises:
            LayoutError: version, window or number of partitions are incompatible with this layout,
                or the table is incomplete.
        """
        if stored is None:
            return None
        found = _decoded(stored)
        if found.version == UNFINISHED:
            raise LayoutError(
                f"table {table} has only part of the rows that `faust -A app rescale` moves to it: "
                f"run that command again with REELS_APP_ID={self.origin_of(stored)}, as before"
            )
        if found.version == REWRITING:
            raise LayoutError(
                f"table {table} has only part of the rows that `faust -A app restore-changelog` "
                "writes to its changelog: run that command again, with the same data directory"
            )
        if found.version != self.version and found.version not in self.older:
            raise LayoutError(
                f"table {table} has version {found.version}, but this program writes version "
                f"{self.version}: run the program that wrote it, or start over with another "
                "REELS_APP_ID"
            )
        step = found.coarser_step or found.step
        if self.step % step or found.size < self.size:
            raise LayoutError(
                f"table {table} has a window of {format_duration(found.size)} by "
                f"{format_duration(step)}, but the settings say {format_duration(self.size)} by "
                f"{format_duration(self.step)}: only a shorter window, and a multiple of the step, "
                "are possible. Set them back, or build new tables with "
                "`faust -A app rebuild --to-app-id ID` (docs/how-to/change.md)"
            )
        if found.partitions != self.partitions and found.partitions and self.partitions:
            raise LayoutError(
                f"table {table} was built with {found.partitions} partitions, but TOPIC_PARTITIONS "
                f"is {self.partitions}. Set it back, move the tables with `faust -A app rescale`, "
                "or start over with another REELS_APP_ID"
            )
        return found.stream_time


def _decoded(stored: bytes) -> _Record:
    return msgspec.json.decode(stored, type=_Record)
