"""One partition of one table: RocksDB, and layers of newer changes in memory above it.

The changelog has the rows that RocksDB does not have yet.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from tables.foreign import check_rows
from tables.layers import PLAIN_LAYERS
from tables.layout import LAYOUT_KEY, ForeignCopyError, LastCopyError
from tables.rocks import FULL_PACE
from tables.row_layers import RowLayers
from tables.sweep import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor, Future

    from models._protocols import LookupResult
    from models.rows import Rows
    from tables.layers import DictLayer, Layer, LayerBackend, Value
    from tables.layout import Position, StoreFormat
    from tables.rocks import RocksStore, WritePace

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Number of keys from which a read is worth a switch to a thread.
MIN_KEYS_FOR_THREAD = 32


class StoreClosedError(Exception):
    """The partition's database is closed or closing."""


class PartitionState:
    """Reads and uncommitted writes of one partition of one table."""

    def __init__(
        self,
        table: str,
        layout: StoreFormat,
        store: RocksStore,
        executor: Executor,
        backend: LayerBackend = PLAIN_LAYERS,
    ) -> None:
        """Start with an empty overlay over ``store``.

        Arguments:
            table: the table's name, for messages.
            layout: the format of values, compared with the stored one.
            store: the database on disk.
            executor: threads for disk access.
            backend: containers for the layers.
        """
        self.table = table
        self.store = store
        #: The rows in memory.
        self.layers = RowLayers(backend)
        #: Finds and deletes expired keys.
        self.sweeper = Sweeper(self, self._is_expired, layout.step / 1000)
        #: Whether requests may be answered: not while the partition is moving or recovering.
        self.readable = False
        #: The unit in ms by which panes are numbered: the step, or a finer one.
        self.unit = layout.step
        self._windows = layout.windows
        #: Latest accepted event time in ms, uncommitted events included; None before the first.
        self.stream_time: int | None = None
        #: Positions in the source topics as of the last commit; None before the first commit,
        #: empty if an earlier release committed last.
        self.positions: Mapping[str, Position] | None = None
        #: The optional tables that have received all counts of this one.
        self.feeds: frozenset[str] = frozenset()
        #: The stream time in ms from which counts are complete; 0: from the start.
        self.complete_from = 0
        self._frozen_of_feeds = self.feeds, self.complete_from
        #: Whether settings have changed since the layout record was written.
        self._is_changed = False
        self._layout = layout
        self._executor = executor
        self._frozen_time: int | None = None
        self._table_id = ""
        #: Whether the database was begun from nothing by this object, and is not whole yet.
        self._is_begun = store.offset is None
        #: Changelog offset of the last committed row.
        self._committed_offset = -1
        self._in_threads: set[Future[Any]] = set()
        self._closed = False

    @property
    def dirty(self) -> Layer:
        """Uncommitted changes. Chunks write to it directly; all other code uses :meth:`put`."""
        return self.layers.dirty

    @property
    def is_closed(self) -> bool:
        """Whether the database is closed or closing."""
        return self._closed

    @property
    def offset(self) -> int | None:
        """Changelog offset of the last record on disk."""
        return self.store.offset

    def reset_to_committed(self) -> None:
        """Drop uncommitted changes, and start from the committed state.

        Raises:
            LayoutError: the stored values do not match the layout.
        """
        self.layers.clear()
        stored = self.store.get(LAYOUT_KEY)
        self.stream_time = self._layout.stored_stream_time(self.table, stored)
        changes = self._layout.changes_of(stored)
        self._is_changed = bool(changes)
        for change in changes:
            if change not in self._layout.said:
                self._layout.said.add(change)
                log.info("table %s: %s", self.table, change)
        self._frozen_time = self.stream_time
        self.positions = self._layout.positions_of(stored)
        self.feeds = self._layout.feeds_of(stored)
        self.complete_from = self._layout.complete_from_of(stored)
        self.unit = self._layout.unit_of(stored)
        self._windows = self._layout.windows.in_units(self.unit)
        self._frozen_of_feeds = self.feeds, self.complete_from
        self._table_id = self._layout.id_of(stored) or self._layout.new_id()

    def known_time(self) -> int | None:
        """Return stream time in ms; for a standby, the latest from its changelog."""
        if self.stream_time is not None:
            return self.stream_time
        return self._layout.stored_stream_time(self.table, self.store.get(LAYOUT_KEY))

    def known_complete_from(self) -> int:
        """Return the stream time from which counts are complete; see :meth:`known_time`."""
        if self.stream_time is not None:
            return self.complete_from
        return self._layout.complete_from_of(self.store.get(LAYOUT_KEY))

    def known_unit(self) -> int:
        """Return the unit by which panes are numbered; see :meth:`known_time`."""
        if self.stream_time is not None:
            return self.unit
        return self._layout.unit_of(self.store.get(LAYOUT_KEY))

    def _is_expired(self, value: bytes, stream_time: int) -> bool:
        return self._windows.is_expired(value, stream_time)

    def get(self, key: bytes) -> Value:
        """Return the current value of ``key``, uncommitted changes included."""
        for layer in self.layers.all():
            if key in layer:
                return layer[key]
        return self.store.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of ``key`` in the next commit."""
        self.dirty[key] = value

    def delete(self, key: bytes) -> None:
        """Delete ``key`` in the next commit."""
        self.dirty[key] = None

    def get_many(self, keys: Sequence[bytes]) -> LookupResult:
        """Return the current values of ``keys``, in their order."""
        return self._filled(self.layers.find(keys))

    def renew(self, values: LookupResult) -> None:
        """Update ``values`` with the rows that are in memory now."""
        values.renew(self.layers.all())

    def remember(self, keys: Sequence[bytes], values: Sequence[Value]) -> None:
        """Keep rows that were read from disk for a request; see :meth:`RowLayers.remember`."""
        # A standby's database is written directly, without a layer above that would be newer.
        if self.readable:
            self.layers.remember(keys, values)

    def _filled(self, values: LookupResult) -> LookupResult:
        """Return ``values`` with the missing ones read from disk."""
        if values.missing:
            values.fill(self.store.get_many(values.missing))
        return values

    def load_few(self, keys: Sequence[bytes]) -> LookupResult | None:
        """Return the values of ``keys`` synchronously; None if many of them are only on disk."""
        values = self.layers.find(keys)
        return self._filled(values) if len(values.missing) < MIN_KEYS_FOR_THREAD else None

    async def load(self, keys: Sequence[bytes]) -> LookupResult:
        """Return the current values of ``keys``; a thread reads those that are only on disk.

        Keys may change during that read. Changes in ``dirty`` then have precedence over the result;
        the result includes changes that were frozen or committed in the meantime.
        """
        while True:
            flushes, frozen = self.layers.flushes, self.layers.frozen
            values = self.layers.find(keys)
            if len(values.missing) < MIN_KEYS_FOR_THREAD:
                return self._filled(values)
            found = await self.in_thread(self.store.get_many, values.missing)
            if flushes == self.layers.flushes:
                values.fill(found)
                if self.layers.frozen is not frozen:
                    values.renew(self.layers.all())
                return values
            # A flush has ended during the read, so its results may be outdated: read again.

    async def load_with(
        self, keys: Sequence[bytes], others: Callable[[LookupResult], Sequence[bytes]]
    ) -> tuple[LookupResult, LookupResult]:
        """Return the values of ``keys``, and of the keys derived from them, as :meth:`load`."""
        while True:
            values = await self.load(keys)
            flushes, frozen = self.layers.flushes, self.layers.frozen
            found = await self.load(others(values))
            if flushes == self.layers.flushes:
                if self.layers.frozen is not frozen:
                    values.renew(self.layers.all())
                return values, found

    def freeze(self, positions: Mapping[str, Position] | None = None) -> Layer:
        """Freeze dirty rows, stream time and ``positions`` (None: unchanged) for a commit.

        New writes go to a fresh overlay.
        """
        frozen = self.layers.freeze()
        positions = self.positions if positions is None else positions
        of_feeds = self.feeds, self.complete_from
        # In every commit with changes, so that any part of a changelog identifies its table.
        if positions != self.positions or (
            self.stream_time is not None
            and (
                len(frozen)
                or self._is_changed
                or self.stream_time != self._frozen_time
                or of_feeds != self._frozen_of_feeds
            )
        ):
            self._frozen_time, self.positions = self.stream_time, positions
            self._frozen_of_feeds = of_feeds
            self._is_changed = False
            frozen[LAYOUT_KEY] = self._layout.encode(
                self.stream_time, self._table_id, positions or {}, *of_feeds, self.unit
            )
        return frozen

    def post_commit(self, offset: int) -> None:
        """Mark the frozen rows as committed, the last of them at changelog ``offset``."""
        self.layers.post_commit()
        self._committed_offset = offset

    async def flush(self, pace: WritePace = FULL_PACE) -> None:
        """Write committed rows to RocksDB, with their changelog offset."""
        changes = self.layers.begin_flush()
        if not len(changes):
            return
        in_order = self.layers.backend.in_order
        size = await self.in_thread(
            *(self.store.write, changes, self._committed_offset, in_order, pace)
        )
        self.layers.end_flush(changes, size)

    async def attach(self, topic_id: str, end: int) -> None:
        """Accept the changelog with this id (empty: unknown) and end offset as this copy's source.

        Raises:
            LastCopyError: the changelog does not match, so this may be the last copy of the table.
        """
        offset, known = self.store.offset, self.store.changelog_id
        if offset is not None:
            if known and topic_id and known != topic_id:
                raise LastCopyError(f"has the id {topic_id}, but the disk is a copy of {known}")
            if offset >= end:
                raise LastCopyError(f"ends at offset {end}, but the disk is at {offset}")
        if topic_id and topic_id != known:
            await self.in_thread(self.store.set_changelog_id, topic_id)

    async def apply(self, changes: Rows, offset: int) -> tuple[()]:
        """Write rows from the changelog, the last of them at ``offset`` (recovery, standby).

        Raises:
            ForeignCopyError: the changelog belongs to another table than this copy.
            ForeignRowError: it has rows that this program has not written.
        """
        if self._layout.find_foreign is not None:
            check_rows(changes, self._layout.find_foreign)
        told = self._layout.id_of(changes.get(LAYOUT_KEY))
        if told is not None:
            known = self._layout.id_of(self.store.get(LAYOUT_KEY))
            # Which ids a changelog had before does not matter to a copy of all its records.
            if known not in {None, told} and not self._is_begun:
                raise ForeignCopyError("the disk has a copy of another table")
        self.layers.forget()
        # An opening that was called off may have left its time: the layout record's counts again.
        self.stream_time = None
        await self.in_thread(self.store.write, changes, offset)
        return ()

    async def reset(self) -> None:
        """Delete everything, because the changelog belongs to another table than this copy."""
        await self.in_thread(self.store.clear)
        self._is_begun = True

    @property
    def is_whole(self) -> bool:
        """Whether the database has had all rows of its changelog once, and so is only behind."""
        return self.store.is_whole

    async def caught_up(self) -> None:
        """Take note that all rows up to an end of the changelog are applied."""
        self._is_begun = False
        if not self.store.is_whole:
            await self.in_thread(self.store.set_whole)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all current keys and values, in no order, uncommitted ones included."""
        over: DictLayer = {}
        for layer in reversed(self.layers.all()):
            over |= layer
        over.pop(LAYOUT_KEY, None)
        yield from ((key, value) for key, value in over.items() if value is not None)
        yield from (item for item in self.store.items() if item[0] not in over)

    def has_changed(self, key: bytes) -> bool:
        """Whether ``key`` has uncommitted changes."""
        return self.layers.has_changed(key)

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Run disk access in a thread."""
        if self._closed:
            raise StoreClosedError(self.table)
        future = self._executor.submit(function, *args)
        self.close_after(future)
        return await asyncio.wrap_future(future)

    def close_after(self, future: Future[Any]) -> None:
        """Keep the database open until a thread is done with it.

        Cancelling the caller does not end the thread's work, so :meth:`close` must know of it.
        """
        self._in_threads.add(future)
        future.add_done_callback(self._in_threads.discard)

    async def idle(self) -> None:
        """Wait until no thread is at work; a thread may outlive a cancelled caller."""
        while under_way := list(self._in_threads):
            await asyncio.wait([asyncio.wrap_future(future) for future in under_way])

    async def close(self) -> None:
        """Close the database when no thread is at work on it."""
        self._closed = True
        self.readable = False
        await self.idle()
        await asyncio.wrap_future(self._executor.submit(self.store.close))
