"""RocksDB as one partition of one table uses it: opened, read in batches, written atomically."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from rocksdict import (
    BlockBasedOptions,
    DBCompressionType,
    Env,
    Options,
    Rdict,
    WriteBatch,
    WriteBufferManager,
)

from tables.layers import InOrder
from tables.layout import INTERNAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tables.layers import Ordered

#: Faust's own key for the changelog offset that a database stands for.
OFFSET_KEY = b"__faust\0offset__"

#: The id of the changelog topic that the offset is one of.
CHANGELOG_ID_KEY = b"__reels\0changelog_id__"

#: Ribbon filters would be smaller, bloom filters are cheaper to ask: most keys asked for exist.
BLOOM_BITS_PER_KEY = 10

#: A point look-up reads one block: small blocks read less that nobody asked for.
BLOCK_SIZE = 2 << 10

#: Bytes of one partition's memtable; the write buffer manager bounds their sum over all partitions.
MEMTABLE_SIZE = 16 << 20

#: Filters of the memtables, as a part of their size.
MEMTABLE_FILTER = 0.05

#: Files in level 0 that make a compaction worth its while: each rewrites most of a database as
#: small as a partition's. Filters keep the cost of more files low.
LEVEL_0_FILES = 8


class WritePace(NamedTuple):
    """How fast something is written. rocksdict holds the GIL while RocksDB writes."""

    chunk: int
    """Keys that are written at once."""
    rest_s: float
    """Seconds that all others have the GIL for, between one such write and the next."""


#: Nobody else has the GIL for some five milliseconds at a time.
AT_ONCE = WritePace(2000, 0.0)

#: For half a millisecond: what nobody waits for keeps nobody waiting. A key costs half as much
#: again.
UNHURRIED = WritePace(250, 0.001)


class StoreLockedError(Exception):
    """Another process has this database open."""


class StoreCorruptError(Exception):
    """RocksDB says that the files of this database are damaged."""


def _is_corruption(exc: Exception) -> bool:
    return "orruption" in str(exc)


class RocksMemory(NamedTuple):
    """The memory that all databases of a worker share, in bytes as given to :meth:`create`."""

    write_buffers: WriteBufferManager
    options: Options
    """All databases are opened with the same ones, so that they share their statistics."""

    @classmethod
    def create(cls, write_buffers: int) -> RocksMemory:
        """Make a bound for all memtables, in bytes."""
        manager = WriteBufferManager(write_buffers, False)  # noqa: FBT003 - positional only
        return cls(manager, _options(manager))

    def tickers(self) -> dict[str, int]:
        """Return RocksDB's counters since the start, by name, such as ``rocksdb.stall.micros``."""
        lines = (self.options.get_statistics() or "").splitlines()
        pairs = (line.split(" COUNT : ") for line in lines if " P50 : " not in line)
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}  # noqa: PLR2004


def _options(write_buffers: WriteBufferManager) -> Options:
    table = BlockBasedOptions()
    # What is asked for often is among the values written last, before RocksDB is asked, and files
    # that are not compressed lie in the page cache as they are: a block cache held what nobody
    # asked for again, and taking blocks in and out was a quarter of a cold read.
    table.disable_cache()
    table.set_block_size(BLOCK_SIZE)
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, block_based=False)
    # Filters and indexes stay with their open files, about three bytes a key.
    table.set_cache_index_and_filter_blocks(False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)  # noqa: FBT003
    options.set_block_based_table_factory(table)
    options.set_write_buffer_manager(write_buffers)
    # Counters a core: too cheap to be measured (4.2 us a key read, with and without).
    options.enable_statistics()
    options.set_write_buffer_size(MEMTABLE_SIZE)
    options.set_max_write_buffer_number(3)
    # Values are ids' hashes for the most part: lz4 made the files a tenth smaller, a cold read a
    # third dearer, and a compaction half as dear again.
    options.set_compression_type(DBCompressionType.none())
    options.set_max_background_jobs(2)
    # Compactions wait for a free core rather than take one from whoever answers: at 50,000 events/s
    # on two cores that made the p99 of users' answers a third shorter. Flushes are not held back.
    env = Env()
    env.lower_thread_pool_cpu_priority()
    options.set_env(env)
    options.set_max_open_files(256)
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(MEMTABLE_FILTER)
    options.set_level_zero_file_num_compaction_trigger(LEVEL_0_FILES)
    options.set_keep_log_file_num(2)
    options.set_max_total_wal_size(4 * MEMTABLE_SIZE)
    options.set_level_compaction_dynamic_level_bytes(True)
    return options


class RocksStore:
    """One partition of one table on disk. Keys and values are bytes.

    Every write ends with the changelog offset that the database stands for after it, in one atomic
    batch with the last of the values. What is on disk is always the changelog up to one known
    offset, and after a crash maybe values of a write that did not come to its end: they are in the
    changelog behind that offset, so a replay from there ends as if they were not here.

    RocksDB checks what it reads, block by block. Whoever comes upon damage is told with a
    :class:`StoreCorruptError`, and :meth:`close` then sets the database aside.
    """

    def __init__(self, path: Path, memory: RocksMemory) -> None:
        """Open or create the database in ``path``.

        Raises:
            StoreLockedError: another process has it open.
            StoreCorruptError: its files are damaged; see :meth:`set_aside`.
        """
        self.path = path
        #: What was found damaged since the database was opened.
        self.damage: StoreCorruptError | None = None
        self._memory = memory
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        try:
            options = self._memory.options
            # Named for the column family, too: rocksdict would open an existing one with what its
            # OPTIONS file says, which names no filter that it can make.
            self._db = Rdict(str(self.path), options=options, column_families={"default": options})
            offset = self._db.get(OFFSET_KEY)
        except Exception as exc:
            text = str(exc)
            # First: RocksDB says "block checksum mismatch", too.
            if _is_corruption(exc):
                raise StoreCorruptError(text) from exc
            if "lock" in text.lower():
                raise StoreLockedError(text) from exc
            raise
        self._offset = None if offset is None else int(offset)

    @property
    def offset(self) -> int | None:
        """Offset of the last changelog record that is in here, None when there is none."""
        return self._offset

    @property
    def changelog_id(self) -> str:
        """Id of the changelog topic that :attr:`offset` is one of, empty when it is not known."""
        return (self.get(CHANGELOG_ID_KEY) or b"").decode()

    def set_changelog_id(self, topic_id: str, offset: int | None = None) -> None:
        """Take the topic with this id for the changelog, up to ``offset`` (None: as before)."""
        batch = WriteBatch(raw_mode=True)
        batch.put(CHANGELOG_ID_KEY, topic_id.encode())
        if offset is not None:
            batch.put(OFFSET_KEY, b"%d" % offset)
            self._offset = offset
        self._db.write(batch)

    @staticmethod
    def set_aside(path: Path) -> Path:
        """Move a damaged database out of the way; an older one set aside is deleted."""
        aside = path.with_name(path.name + ".damaged")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        return aside

    def _judge(self, exc: Exception) -> Exception:
        """Return what to raise for ``exc``, and remember damage."""
        if not _is_corruption(exc):
            return exc
        self.damage = StoreCorruptError(f"{self.path.name} is damaged: {exc}")
        return self.damage

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``."""
        try:
            value: bytes | None = self._db.get(key)
        except Exception as exc:
            raise self._judge(exc) from exc
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of ``keys`` in their order. Releases the GIL while it reads."""
        try:
            return cast("list[bytes | None]", self._db.get(list(keys)))
        except Exception as exc:
            raise self._judge(exc) from exc

    def write(
        self,
        changes: Any,
        offset: int,
        in_order: Callable[[Any], Ordered] = InOrder,
        pace: WritePace = AT_ONCE,
    ) -> int:
        """Put and (for None) delete, and at last the changelog offset that all this is as of.

        Arguments:
            changes: values by key.
            offset: in the changelog, of the last of them.
            in_order: sorts them by their keys. So a memtable takes them in two thirds of the
                time: each one's place is near that of the one before.
            pace: how much is written at once.

        Returns:
            The bytes written, keys and what RocksDB adds to them included.
        """
        left = in_order(changes)
        size, is_last = 0, False
        while not is_last:
            batch = WriteBatch(raw_mode=True)
            is_last = not left.put_into(batch, pace.chunk)
            if is_last:
                batch.put(OFFSET_KEY, b"%d" % offset)
            size += batch.size_in_bytes()
            try:
                self._db.write(batch)
            except Exception as exc:
                raise self._judge(exc) from exc
            if pace.rest_s and not is_last:
                time.sleep(pace.rest_s)
        self._offset = offset
        return size

    def items(
        self, after: bytes | None = None, limit: int = sys.maxsize
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield up to ``limit`` keys and values beyond ``after``, in the order of the keys."""
        # Rdict.items() would be a little faster, but ends at damage as if nothing came after it.
        items = self._db.iter()
        try:
            if after is None:
                items.seek_to_first()
            else:
                items.seek(after)
            while limit > 0 and items.valid():
                key, value = bytes(items.key()), bytes(items.value())
                if key != after and not key.startswith(INTERNAL_PREFIX):
                    limit -= 1
                    yield key, value
                items.next()
            items.status()
        except Exception as exc:
            raise self._judge(exc) from exc

    def batches(self, size: int) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Yield all keys in their order and their values, ``size`` at a time.

        In half the time of :meth:`items`: of millions of pairs, none is made.
        """
        items = self._db.iter()
        valid, key_of, value_of, advance = items.valid, items.key, items.value, items.next
        try:
            items.seek_to_first()
            while valid():
                keys: list[bytes] = []
                values: list[bytes] = []
                while len(keys) < size and valid():
                    key = bytes(key_of())
                    if not key.startswith(INTERNAL_PREFIX):
                        keys.append(key)
                        values.append(bytes(value_of()))
                    advance()
                if keys:
                    yield keys, values
            items.status()
        except Exception as exc:
            raise self._judge(exc) from exc

    @property
    def estimated_keys(self) -> int:
        """RocksDB's own estimate of the number of keys."""
        return self._db.property_int_value("rocksdb.estimate-num-keys") or 0

    def property(self, name: str) -> int:
        """Return one of RocksDB's integer properties, such as ``rocksdb.total-sst-files-size``."""
        return self._db.property_int_value(name) or 0

    def clear(self) -> None:
        """Delete everything and begin with an empty database."""
        self._close()
        shutil.rmtree(self.path, ignore_errors=True)
        self.damage = None
        self._open()

    def close(self) -> None:
        """Flush and close; the files' lock is released. A damaged database is set aside."""
        self._close()
        if self.damage is not None:
            self.set_aside(self.path)

    def _close(self) -> None:
        try:
            self._db.close()
        except Exception as exc:
            # What cannot be flushed any more comes again from the changelog.
            if not _is_corruption(exc):
                raise
