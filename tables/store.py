"""The store of a sliced table: the databases of this worker's partitions."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from faust.stores.base import Store

from tables.foreign import PLAIN_CHECKS
from tables.layers import PLAIN_LAYERS
from tables.rocks import RocksStore, StoreCorruptError
from tables.state import PartitionState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from faust.types import TP

    from tables.foreign import RowChecks
    from tables.layers import LayerBackend
    from tables.layout import StoreFormat
    from tables.rocks_options import RocksMemory

NO_BACKUPS = "a sliced table has no backups besides its changelog topic"
READ_ONLY = "only commits of its agent write to a sliced table"


class StoreContext(NamedTuple):
    """Resources that the databases of all tables of a worker share."""

    memory: RocksMemory
    executor: Executor
    """Threads for disk access."""
    layers: LayerBackend = PLAIN_LAYERS
    """Containers for changes in memory."""
    rows: RowChecks = PLAIN_CHECKS
    """Functions that find foreign rows in a changelog."""


class SlicedStore(Store):
    """Opens and closes partitions for tasks; Faust's own hooks have no effect."""

    def __init__(self, *args: Any, layout: StoreFormat, parts: StoreContext, **kwargs: Any) -> None:
        """Pass arguments to :class:`faust.stores.base.Store`; keep those for the databases."""
        super().__init__(*args, **kwargs)
        self._layout = layout
        self._parts = parts
        self.partitions: dict[int, PartitionState] = {}
        self._opening: dict[int, asyncio.Future[PartitionState]] = {}
        self._closing: dict[int, asyncio.Future[None]] = {}

    @property
    def label(self) -> str:
        """The name in the log; Faust's address, ``memory:``, would be misleading."""
        return f"RocksDB of {self.table_name}"

    def path(self, partition: int) -> Path:
        """Return the folder of a partition's database."""
        directory: Path = self.app.conf.tabledir
        return directory / f"{self.table_name}-{partition}.db"

    async def open(self, partition: int) -> PartitionState:
        """Open a partition; a damaged database is set aside, and an empty one is created.

        Raises:
            StoreLockedError: another process has it open.
        """
        opening = self._opening.get(partition)
        if opening is None:
            opening = asyncio.ensure_future(self._open(partition))
            self._opening[partition] = opening
        # A caller may be cancelled; the thread continues, and the next caller gets its result.
        try:
            return await asyncio.shield(opening)
        finally:
            if opening.done():
                self._opening.pop(partition, None)

    async def _open(self, partition: int) -> PartitionState:
        state = self.partitions.get(partition)
        if state is None:
            if (closing := self._closing.get(partition)) is not None:
                # A failure to close is for the caller of ``close``.
                await asyncio.wait([closing])
            executor = self._parts.executor
            loop = asyncio.get_running_loop()
            store = await loop.run_in_executor(executor, self._open_store, partition)
            state = PartitionState(
                *(self.table_name, self._layout, store, executor, self._parts.layers)
            )
            self.partitions[partition] = state
        return state

    def _open_store(self, partition: int) -> RocksStore:
        path = self.path(partition)
        try:
            return RocksStore(path, self._parts.memory)
        except StoreCorruptError as exc:
            aside = RocksStore.set_aside(path)
            self.log.error("%s is damaged (%s): set aside as %s", path.name, exc, aside.name)
            return RocksStore(path, self._parts.memory)

    async def close(self, partition: int) -> None:
        """Close a partition's database, if it is open."""
        if partition in self._opening:
            # A failure to open is for the caller of ``open``: here there is nothing to close.
            with suppress(Exception):
                await self.open(partition)
        state = self.partitions.pop(partition, None)
        if state is not None:
            closing = self._closing[partition] = asyncio.ensure_future(state.close())
            closing.add_done_callback(lambda _: self._closing.pop(partition, None))
        # A caller may be cancelled; the database is closed all the same.
        if partition in self._closing:
            await asyncio.shield(self._closing[partition])

    async def on_stop(self) -> None:
        """Close all partitions."""
        for partition in {*self.partitions, *self._opening, *self._closing}:
            await self.close(partition)

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the changelog offset of the database of ``tp``; None if it is not open."""
        state = self.partitions.get(tp.partition)
        return None if state is None else state.offset

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> NoReturn:
        """Refuse: :mod:`streaming.restore.changelog` reads changelogs."""
        raise TypeError(READ_ONLY)

    async def backup_partition(self, tp: TP | int, **_: Any) -> NoReturn:
        """Refuse: the changelog is the backup."""
        raise TypeError(NO_BACKUPS)

    def restore_backup(self, tp: TP | int, **_: Any) -> NoReturn:
        """Refuse: see :meth:`backup_partition`."""
        raise TypeError(NO_BACKUPS)

    def reset_state(self) -> None:
        """Delete the local copies (``faust reset``); the changelog is unchanged."""
        for path in self.app.conf.tabledir.glob(f"{self.table_name}-*.db"):
            shutil.rmtree(path)

    def __len__(self) -> int:
        """Count the keys (slow: it reads them all)."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the keys of all partitions on this worker.

        Rows that belong to another key, such as a user's sealed ids, are left out.
        """
        for state in self.partitions.values():
            yield from (key for key, _ in state.items() if key.isdigit())

    def __getitem__(self, key: bytes) -> bytes:
        """Return the packed value of ``key`` from any partition on this worker."""
        for state in self.partitions.values():
            value = state.get(key)
            if value is not None:
                return value
        raise KeyError(key)

    def __setitem__(self, key: bytes, value: bytes) -> NoReturn:
        """Refuse; see ``READ_ONLY``."""
        raise TypeError(READ_ONLY)

    def __delitem__(self, key: bytes) -> NoReturn:
        """Refuse; see ``READ_ONLY``."""
        raise TypeError(READ_ONLY)

    def _clear(self) -> NoReturn:
        raise TypeError(READ_ONLY)
