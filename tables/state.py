"""What one partition of one table holds: RocksDB, and over it what is not committed yet.

::

    read          dirty  ->  frozen  ->  unwritten  ->  recent  ->  RocksDB
    write         dirty
    commit        freeze: dirty becomes frozen    (then the transaction)
                  keep: frozen is committed, and goes to unwritten
    now and then  settle: unwritten becomes recent, and RocksDB gets it

The last two are what Kafka Streams calls its record cache: a user in a session is not read again
for each commit, and written once for several. The changelog has what RocksDB has not got yet.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from .layout import LAYOUT_KEY, ForeignCopyError
from .lookup import ABSENT, find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor, Future

    from .layout import Layout
    from .lookup import Changes, Find
    from .rocks import RocksStore

T = TypeVar("T")

#: What a dict entry, a bytes key and a bytes value take in memory besides the value's content.
ENTRY_SIZE = 180

#: Keys to read that make it worth to go to a thread and back.
THREAD_WORTH = 32


def _filled(
    keys: Sequence[bytes],
    values: Sequence[bytes | None],
    missing: Sequence[bytes],
    found: Sequence[bytes | None],
) -> list[bytes | None]:
    """Return ``values``, and for those of ``missing`` keys that are absent what was ``found``."""
    read = dict(zip(missing, found, strict=True))
    return [
        read[key] if value is ABSENT else value for key, value in zip(keys, values, strict=True)
    ]


class StoreClosedError(Exception):
    """The partition's database is closed, or about to be."""


class PartitionState:
    """Reads and uncommitted writes of one partition of one table."""

    def __init__(
        self,
        table: str,
        layout: Layout,
        store: RocksStore,
        executor: Executor,
        find: Find = find,
    ) -> None:
        """Lay an empty overlay over ``store``.

        Arguments:
            table: the table's name, for messages.
            layout: how values are laid out, checked against what is stored.
            store: the database on disk.
            executor: runs what waits for the disk.
            find: looks keys up in memory.
        """
        self.table = table
        self.store = store
        self.dirty: Changes = {}
        #: Whether reads may be answered: not while the partition is moving or recovering.
        self.readable = False
        #: Latest accepted event time in ms, what is not committed included; None before the first.
        self.stream_time: int | None = None
        self._layout = layout
        self._executor = executor
        self._frozen: Changes = {}
        self._frozen_time: int | None = None
        self._table_id = ""
        #: Committed since RocksDB was written, and the changelog offset of the last of it.
        self._unwritten: Changes = {}
        self._kept_offset = -1
        #: What RocksDB was given last, or is being given.
        self._recent: Changes = {}
        self._is_writing = False
        self._settled = 0
        self._in_threads: set[Future[Any]] = set()
        self._closed = False
        self._find = find
        self._entry_bytes = float(ENTRY_SIZE)

    @property
    def is_closed(self) -> bool:
        """Whether the database is closed, or about to be."""
        return self._closed

    @property
    def offset(self) -> int | None:
        """Offset of the last changelog record on disk."""
        return self.store.offset

    def restored(self) -> None:
        """Begin with what is committed.

        Raises:
            LayoutError: the stored values are not laid out as the settings say.
        """
        self.dirty, self._frozen, self._unwritten, self._recent = {}, {}, {}, {}
        self._is_writing = False
        stored = self.store.get(LAYOUT_KEY)
        self.stream_time = self._layout.stored_stream_time(self.table, stored)
        self._frozen_time = self.stream_time
        self._table_id = self._layout.id_of(stored) or self._layout.new_id()

    def known_time(self) -> int | None:
        """Return stream time in ms; of a standby that is what its changelog has told last."""
        if self.stream_time is not None:
            return self.stream_time
        return self._layout.stored_stream_time(self.table, self.store.get(LAYOUT_KEY))

    def _layers(self) -> tuple[Changes, ...]:
        return self.dirty, self._frozen, self._unwritten, self._recent

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key`` as it is now, uncommitted changes included."""
        for layer in self._layers():
            if key in layer:
                return layer[key]
        return self.store.get(key)

    async def load(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of ``keys`` as they are now; those on disk are read by a thread.

        While the disk is read they may change: what is in ``dirty`` then counts, not what is in
        the answer. What was committed meanwhile is in the answer.
        """
        while True:
            settled, frozen = self._settled, self._frozen
            values, missing = self._find(self._layers(), keys)
            if not missing:
                return values
            if len(missing) < THREAD_WORTH:
                return _filled(keys, values, missing, self.store.get_many(missing))
            found = await self.in_thread(self.store.get_many, missing)
            if settled == self._settled:
                values = _filled(keys, values, missing, found)
                if self._frozen is not frozen:
                    newer, _ = self._find(self._layers(), keys)
                    values = _filled(keys, newer, keys, values)
                return values
            # What was just read may be from before what was written meanwhile: once more.

    def freeze(self) -> Changes:
        """Take what is dirty, and stream time, for a commit; new writes go to a fresh overlay."""
        if self._frozen:
            msg = "a commit of this partition is still under way"
            raise RuntimeError(msg)
        # With every commit: whatever part of a changelog is read tells whose it is.
        if self.stream_time is not None and (self.dirty or self.stream_time != self._frozen_time):
            self._frozen_time = self.stream_time
            self.dirty[LAYOUT_KEY] = self._layout.encode(self.stream_time, self._table_id)
        self._frozen, self.dirty = self.dirty, {}
        return self._frozen

    def keep(self, offset: int) -> None:
        """Take what was frozen as committed, the last of it at changelog ``offset``."""
        self._unwritten.update(self._frozen)
        self._kept_offset = offset
        self._frozen = {}

    async def settle(self) -> None:
        """Write what is committed to RocksDB, with the changelog offset that it stands for."""
        if self._is_writing:
            msg = "what was committed is being written already"
            raise RuntimeError(msg)
        if not self._unwritten:
            return
        self._recent, self._unwritten, self._is_writing = self._unwritten, {}, True
        size = await self.in_thread(self.store.write, self._recent, self._kept_offset)
        self._entry_bytes = ENTRY_SIZE + size / len(self._recent)
        self._is_writing = False
        self._settled += 1

    async def apply(self, changes: Changes, offset: int) -> None:
        """Take what the changelog says, the last of it at ``offset`` (recovery, standby).

        Raises:
            ForeignCopyError: it is not the changelog that this copy was made of.
        """
        told = self._layout.id_of(changes.get(LAYOUT_KEY))
        if told is not None:
            known = self._layout.id_of(self.store.get(LAYOUT_KEY))
            if known not in {None, told}:
                raise ForeignCopyError("what is on disk is a copy of another table")
        await self.in_thread(self.store.write, changes, offset)

    async def reset(self) -> None:
        """Delete everything: the changelog is another one than this copy was made of."""
        await self.in_thread(self.store.clear)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values in no order, also those not on disk yet, deleted ones not."""
        over = {**self._recent, **self._unwritten, **self._frozen, **self.dirty}
        over.pop(LAYOUT_KEY, None)
        yield from ((key, value) for key, value in over.items() if value is not None)
        yield from (item for item in self.store.items() if item[0] not in over)

    def has_changed(self, key: bytes) -> bool:
        """Whether ``key`` has uncommitted changes."""
        return key in self.dirty or key in self._frozen

    @property
    def dirty_bytes(self) -> float:
        """Memory that ``dirty`` takes: its keys are taken to be as large as those written last."""
        return len(self.dirty) * self._entry_bytes

    @property
    def unwritten_bytes(self) -> float:
        """Memory that what is committed and waits to be written takes, estimated likewise."""
        return len(self._unwritten) * self._entry_bytes

    @property
    def uncommitted_keys(self) -> int:
        """Number of keys with uncommitted changes, those of a commit under way included."""
        return len(self.dirty) + len(self._frozen)

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Run what waits for the disk beside the event loop."""
        if self._closed:
            raise StoreClosedError(self.table)
        future = self._executor.submit(function, *args)
        # A cancelled wait does not end the thread's work: closing has to know of it.
        self._in_threads.add(future)
        future.add_done_callback(self._in_threads.discard)
        return await asyncio.wrap_future(future)

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
