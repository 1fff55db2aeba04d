"""What one partition of one table holds: RocksDB, and over it what is not committed yet.

::

    read          dirty  ->  frozen  ->  unwritten  ->  written  ->  remembered  ->  RocksDB
    write         dirty
    commit        freeze: dirty becomes frozen    (then the transaction)
                  post_commit: frozen is committed, and goes to unwritten
    now and then  flush: RocksDB gets what is unwritten, which stays in memory as written
    before long   evict: what is on disk leaves memory
    a request     remember: what it has read from disk is likely to be asked for again

Unwritten and written are what Kafka Streams calls its record cache: a user in a session is not read
again for each commit, and written once for several. The changelog has what RocksDB has not got yet.
Of what is remembered each value is as old as RocksDB's, or older than one in a layer above: it has
to leave before any of those does.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from tables.foreign import check_rows
from tables.layers import DICTS
from tables.layout import LAYOUT_KEY, ForeignCopyError, LastCopyError
from tables.rocks import AT_ONCE
from tables.sweep import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor, Future

    from models.rows import Rows
    from tables.layers import Changes, Layer, Memory, Value, Values
    from tables.layout import Position, StoreFormat
    from tables.rocks import RocksStore, WritePace

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Keys to read that make it worth to go to a thread and back.
THREAD_WORTH = 32

#: Bytes of a key and its value, as long as none were written.
LIKELY_SIZE = 200

#: Bytes of what is remembered, in each partition: of ten thousand users.
REMEMBERED_BYTES = 4 << 20

#: How many times' writes stay in memory. Of users in sessions most come back within half a minute;
#: each further one would be looked through for every user who does not.
WRITTEN_LAYERS = 2


class StoreClosedError(Exception):
    """The partition's database is closed, or about to be."""


class PartitionState:
    """Reads and uncommitted writes of one partition of one table."""

    def __init__(
        self,
        table: str,
        layout: StoreFormat,
        store: RocksStore,
        executor: Executor,
        memory: Memory = DICTS,
    ) -> None:
        """Lay an empty overlay over ``store``.

        Arguments:
            table: the table's name, for messages.
            layout: how values are laid out, checked against what is stored.
            store: the database on disk.
            executor: runs what waits for the disk.
            memory: what changes are kept in.
        """
        self.table = table
        self.store = store
        self._memory = memory
        #: What is not committed. Chunks that fold write into it at once; all else uses :meth:`put`.
        self.dirty: Layer = memory.layer()
        #: Finds and deletes the keys that have expired.
        self.sweeper = Sweeper(self, self._is_expired, layout.step / 1000)
        #: Whether reads may be answered: not while the partition is moving or recovering.
        self.readable = False
        #: The unit in ms that panes are numbered by: the step, or a finer one.
        self.unit = layout.step
        self._windows = layout.windows
        #: Latest accepted event time in ms, what is not committed included; None before the first.
        self.stream_time: int | None = None
        #: Where the table stands in its source topics, as of the last commit; None when nothing was
        #: ever committed, empty when an earlier release was the last to commit.
        self.positions: Mapping[str, Position] | None = None
        #: The tables that are sent all that this one counts, of those that a setting leaves out.
        self.feeds: frozenset[str] = frozenset()
        #: The stream time in ms from which on all is counted; 0: it always was.
        self.complete_from = 0
        self._frozen_of_feeds = self.feeds, self.complete_from
        #: Whether settings have changed since the table's layout was written.
        self._is_changed = False
        self._layout = layout
        self._executor = executor
        self._frozen: Layer = memory.layer()
        self._frozen_time: int | None = None
        self._table_id = ""
        #: Committed since RocksDB was written, and the changelog offset of the last of it.
        self._unwritten: Layer = memory.layer()
        self._kept_offset = -1
        #: What RocksDB was given last, newest first: the first of them may be on its way there.
        self._written: list[Layer] = []
        self._remembered: Layer = memory.layer()
        self._is_writing = False
        self._settled = 0
        self._in_threads: set[Future[Any]] = set()
        self._closed = False
        self._entry_bytes = float(memory.row_size + LIKELY_SIZE)

    @property
    def is_closed(self) -> bool:
        """Whether the database is closed, or about to be."""
        return self._closed

    @property
    def offset(self) -> int | None:
        """Offset of the last changelog record on disk."""
        return self.store.offset

    def reset_to_committed(self) -> None:
        """Begin with what is committed.

        Raises:
            LayoutError: the stored values are not laid out as the settings say.
        """
        new = self._memory.layer
        self.dirty, self._frozen, self._unwritten, self._written = new(), new(), new(), []
        self._remembered = new()
        self._is_writing = False
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
        """Return stream time in ms; of a standby that is what its changelog has told last."""
        if self.stream_time is not None:
            return self.stream_time
        return self._layout.stored_stream_time(self.table, self.store.get(LAYOUT_KEY))

    def known_complete_from(self) -> int:
        """Return from when on all is counted, likewise."""
        if self.stream_time is not None:
            return self.complete_from
        return self._layout.complete_from_of(self.store.get(LAYOUT_KEY))

    def known_unit(self) -> int:
        """Return the unit that panes are numbered by, likewise."""
        if self.stream_time is not None:
            return self.unit
        return self._layout.unit_of(self.store.get(LAYOUT_KEY))

    def _is_expired(self, value: bytes, stream_time: int) -> bool:
        return self._windows.is_expired(value, stream_time)

    def _layers(self) -> tuple[Layer, ...]:
        return self.dirty, self._frozen, self._unwritten, *self._written, self._remembered

    def get(self, key: bytes) -> Value:
        """Return the value of ``key`` as it is now, uncommitted changes included."""
        for layer in self._layers():
            if key in layer:
                return layer[key]
        return self.store.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Give ``key`` a value, with the next commit."""
        self.dirty[key] = value

    def delete(self, key: bytes) -> None:
        """Delete ``key``, with the next commit."""
        self.dirty[key] = None

    def get_many(self, keys: Sequence[bytes]) -> Values:
        """Return the values of ``keys`` as they are now, in their order."""
        return self._filled(self._memory.find(self._layers(), keys))

    @property
    def flushes(self) -> int:
        """How often RocksDB was written: what was read before the last time may be out of date."""
        return self._settled

    def find(self, keys: Sequence[bytes]) -> Values:
        """Return the values of ``keys`` as far as they are in memory."""
        return self._memory.find(self._layers(), keys)

    def renew(self, values: Values) -> None:
        """Put into ``values`` what memory has of their keys by now."""
        values.renew(self._layers())

    def remember(self, keys: Sequence[bytes], values: Sequence[Value]) -> None:
        """Keep what was read from disk, unless a write of it has ended since: see :attr:`flushes`.

        When there is no room for more, all is forgotten.
        """
        # A copy's database is written without any layer above.
        if not self.readable:
            return
        layer, most = self._remembered, REMEMBERED_BYTES / self._entry_bytes
        for key, value in zip(keys, values, strict=True):
            if value is not None:
                if len(layer) >= most:
                    layer = self._remembered = self._memory.layer()
                layer[key] = value

    def _filled(self, values: Values) -> Values:
        """Return ``values`` with those that are missing read from disk."""
        if values.missing:
            values.fill(self.store.get_many(values.missing))
        return values

    def load_few(self, keys: Sequence[bytes]) -> Values | None:
        """Return the values of ``keys`` at once, None when many of them are on disk alone."""
        values = self._memory.find(self._layers(), keys)
        return self._filled(values) if len(values.missing) < THREAD_WORTH else None

    async def load(self, keys: Sequence[bytes]) -> Values:
        """Return the values of ``keys`` as they are now; those on disk are read by a thread.

        While the disk is read they may change: what is in ``dirty`` then counts, not what is in
        the answer. What was committed meanwhile is in the answer.
        """
        while True:
            settled, frozen = self._settled, self._frozen
            values = self._memory.find(self._layers(), keys)
            if len(values.missing) < THREAD_WORTH:
                return self._filled(values)
            found = await self.in_thread(self.store.get_many, values.missing)
            if settled == self._settled:
                values.fill(found)
                if self._frozen is not frozen:
                    values.renew(self._layers())
                return values
            # What was just read may be from before what was written meanwhile: once more.

    async def load_with(
        self, keys: Sequence[bytes], others: Callable[[Values], Sequence[bytes]]
    ) -> tuple[Values, Values]:
        """Return the values of ``keys``, and of others that these ask for, all as :meth:`load`."""
        while True:
            values = await self.load(keys)
            settled, frozen = self._settled, self._frozen
            found = await self.load(others(values))
            if settled == self._settled:
                if self._frozen is not frozen:
                    values.renew(self._layers())
                return values, found

    def freeze(self, positions: Mapping[str, Position] | None = None) -> Layer:
        """Take what is dirty, stream time, and ``positions`` (None: as they were) for a commit.

        New writes go to a fresh overlay.
        """
        if len(self._frozen):
            msg = "a commit of this partition is still under way"
            raise RuntimeError(msg)
        positions = self.positions if positions is None else positions
        of_feeds = self.feeds, self.complete_from
        # With every commit: whatever part of a changelog is read tells whose it is.
        if positions != self.positions or (
            self.stream_time is not None
            and (
                len(self.dirty)
                or self._is_changed
                or self.stream_time != self._frozen_time
                or of_feeds != self._frozen_of_feeds
            )
        ):
            self._frozen_time, self.positions = self.stream_time, positions
            self._frozen_of_feeds = of_feeds
            self._is_changed = False
            self.dirty[LAYOUT_KEY] = self._layout.encode(
                self.stream_time, self._table_id, positions or {}, *of_feeds, self.unit
            )
        self._frozen, self.dirty = self.dirty, self._memory.layer()
        return self._frozen

    def post_commit(self, offset: int) -> None:
        """Take what was frozen as committed, the last of it at changelog ``offset``."""
        if len(self._unwritten):
            self._unwritten.update(self._frozen)
        else:
            self._unwritten = self._frozen
        self._kept_offset = offset
        self._frozen = self._memory.layer()

    async def flush(self, pace: WritePace = AT_ONCE) -> None:
        """Write what is committed to RocksDB, with the changelog offset that it stands for."""
        if self._is_writing:
            msg = "what was committed is being written already"
            raise RuntimeError(msg)
        if not len(self._unwritten):
            return
        changes, self._unwritten = self._unwritten, self._memory.layer()
        self._remembered = self._memory.layer()
        self._written = [changes, *self._written[: WRITTEN_LAYERS - 1]]
        self._is_writing = True
        size = await self.in_thread(
            *(self.store.write, changes, self._kept_offset, self._memory.in_order, pace)
        )
        self._entry_bytes = self._memory.row_size + size / len(changes)
        self._is_writing = False
        self._settled += 1

    async def attach(self, topic_id: str, end: int) -> None:
        """Take the changelog with this id (empty: unknown) and end for the one of this copy.

        Raises:
            LastCopyError: it is not, so this may be the last copy of the table.
        """
        offset, known = self.store.offset, self.store.changelog_id
        if offset is not None:
            if known and topic_id and known != topic_id:
                raise LastCopyError(f"has the id {topic_id}, the disk is a copy of {known}")
            if offset >= end:
                raise LastCopyError(f"ends at offset {end}, the disk stands at {offset}")
        if topic_id and topic_id != known:
            await self.in_thread(self.store.set_changelog_id, topic_id)

    async def apply(self, changes: Rows, offset: int) -> tuple[()]:
        """Take what the changelog says, the last of it at ``offset`` (recovery, standby).

        Raises:
            ForeignCopyError: it is not the changelog that this copy was made of.
            ForeignRowError: it has rows that this program has not written.
        """
        if self._layout.find_foreign is not None:
            check_rows(changes, self._layout.find_foreign)
        told = self._layout.id_of(changes.get(LAYOUT_KEY))
        if told is not None:
            known = self._layout.id_of(self.store.get(LAYOUT_KEY))
            if known not in {None, told}:
                raise ForeignCopyError("what is on disk is a copy of another table")
        self._remembered = self._memory.layer()
        await self.in_thread(self.store.write, changes, offset)
        return ()

    async def reset(self) -> None:
        """Delete everything: the changelog is another one than this copy was made of."""
        await self.in_thread(self.store.clear)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values in no order, also those not on disk yet, deleted ones not."""
        over: Changes = {}
        for layer in reversed(self._layers()):
            over |= layer
        over.pop(LAYOUT_KEY, None)
        yield from ((key, value) for key, value in over.items() if value is not None)
        yield from (item for item in self.store.items() if item[0] not in over)

    def has_changed(self, key: bytes) -> bool:
        """Whether ``key`` has uncommitted changes."""
        return key in self.dirty or key in self._frozen

    @property
    def dirty_bytes(self) -> float:
        """Memory that ``dirty`` takes: its keys are taken to be as large as those written last."""
        return len(self.dirty) * self._entry_bytes + self._memory.companions(self.dirty)

    @property
    def row_bytes(self) -> float:
        """Memory that all rows in memory take, estimated likewise, without their companions."""
        return sum(map(len, self._layers())) * self._entry_bytes

    @property
    def companion_bytes(self) -> int:
        """Memory that rows take which those in memory have at hand."""
        return sum(map(self._memory.companions, self._layers()))

    def evict(self, rows: float, companions: float) -> None:
        """Take from memory what is on disk, the oldest first, until the rest is small enough.

        Arguments:
            rows: the most bytes of :attr:`row_bytes`.
            companions: the most bytes of :attr:`companion_bytes`.
        """
        while self.row_bytes > rows or self.companion_bytes > companions:
            if len(self._remembered):
                self._remembered = self._memory.layer()
            elif len(self._written) > self._is_writing:
                self._written.pop()
            else:
                return

    @property
    def unwritten_bytes(self) -> float:
        """Memory that what is committed and waits to be written takes, estimated likewise."""
        return len(self._unwritten) * self._entry_bytes

    @property
    def unwritten_companion_bytes(self) -> int:
        """Memory that rows which these have at hand take."""
        return self._memory.companions(self._unwritten)

    @property
    def uncommitted_keys(self) -> int:
        """Number of keys with uncommitted changes, those of a commit under way included."""
        return len(self.dirty) + len(self._frozen)

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Run what waits for the disk beside the event loop."""
        if self._closed:
            raise StoreClosedError(self.table)
        future = self._executor.submit(function, *args)
        self.close_after(future)
        return await asyncio.wrap_future(future)

    def close_after(self, future: Future[Any]) -> None:
        """Have the database stay open until a thread is done with it.

        A cancelled wait does not end the thread's work: closing has to know of it.
        """
        self._in_threads.add(future)
        future.add_done_callback(self._in_threads.discard)

    async def idle(self) -> None:
        """Wait until no thread is at work: one may be, for somebody who was cancelled."""
        while under_way := list(self._in_threads):
            await asyncio.wait([asyncio.wrap_future(future) for future in under_way])

    async def close(self) -> None:
        """Close the database once no thread is at work on it."""
        self._closed = True
        self.readable = False
        await self.idle()
        await asyncio.wrap_future(self._executor.submit(self.store.close))
