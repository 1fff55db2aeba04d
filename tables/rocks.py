"""RocksDB for one partition of one table: opening, batched reads, atomic writes."""

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

from tables.layers import SortedEntries
from tables.layout import INTERNAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from models import _protocols

#: Faust's own key of the changelog offset up to which a database is written.
OFFSET_KEY = b"__faust\0offset__"

#: Key of the changelog topic's id to which that offset belongs.
CHANGELOG_ID_KEY = b"__reels\0changelog_id__"

#: Ribbon filters would be smaller, but bloom filters are faster: most requested keys exist.
BLOOM_BITS_PER_KEY = 10

#: A point lookup reads one block: with small blocks it reads fewer unneeded bytes.
BLOCK_BYTES = 2 << 10

#: Bytes of one partition's memtable; the write buffer manager bounds the sum over all partitions.
MEMTABLE_BYTES = 16 << 20

#: Size of the memtables' filters, relative to the memtables.
MEMTABLE_FILTER_SHARE = 0.05

#: Number of level 0 files that starts a compaction. A compaction rewrites most of a database as
#: small as a partition's, and filters keep the cost of more files low.
LEVEL_0_FILES = 8

#: Number of level 0 files, relative to that, that slows writes down, and that stops them.
SLOWED_SHARE, STOPPED_SHARE = 2.5, 4.5


class WritePace(NamedTuple):
    """Pace of a write. rocksdict holds the GIL while RocksDB writes."""

    chunk: int
    """Keys per write."""
    rest_s: float
    """Seconds between two writes, during which other threads get the GIL."""


#: Holds the GIL for about five milliseconds at a time.
FULL_PACE = WritePace(2000, 0.0)

#: Holds the GIL for half a millisecond at a time, for writes that nothing waits for. The cost per
#: key is 50 % higher.
SLOW_PACE = WritePace(250, 0.001)


class StoreLockedError(Exception):
    """Another process has the database open."""


class StoreCorruptError(Exception):
    """RocksDB reports damaged files in the database."""


def _is_corruption(exc: Exception) -> bool:
    return "orruption" in str(exc)


class RocksMemory(NamedTuple):
    """The memory that all databases of a worker share, in bytes as given to :meth:`create`."""

    write_buffers: WriteBufferManager
    options: Options
    """Options of all databases; sharing them also shares the statistics."""

    @classmethod
    def create(cls, write_buffers: int, level_0_files: int = LEVEL_0_FILES) -> RocksMemory:
        """Bound all memtables together, in bytes; compact from ``level_0_files`` files on."""
        manager = WriteBufferManager(write_buffers, False)  # noqa: FBT003 - positional only
        return cls(manager, _options(manager, level_0_files))

    def tickers(self) -> dict[str, int]:
        """Return RocksDB's counters since the start, by name, such as ``rocksdb.stall.micros``."""
        lines = (self.options.get_statistics() or "").splitlines()
        pairs = (line.split(" COUNT : ") for line in lines if " P50 : " not in line)
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}  # noqa: PLR2004


def _options(write_buffers: WriteBufferManager, level_0_files: int) -> Options:
    table = BlockBasedOptions()
    # No block cache: keys that are requested often are in the layers above, and uncompressed files
    # are in the page cache as they are. The cache held blocks that were not requested again, and
    # its upkeep was a quarter of a cold read.
    table.disable_cache()
    table.set_block_size(BLOCK_BYTES)
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, block_based=False)
    # Filters and indexes stay in memory with their open files, about three bytes per key.
    table.set_cache_index_and_filter_blocks(False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)  # noqa: FBT003
    options.set_block_based_table_factory(table)
    options.set_write_buffer_manager(write_buffers)
    # Counters per core, without measurable cost (4.2 us per key read, with and without).
    options.enable_statistics()
    options.set_write_buffer_size(MEMTABLE_BYTES)
    options.set_max_write_buffer_number(3)
    # Values are mostly hashes of ids. lz4 made the files a tenth smaller, a cold read a third more
    # expensive, and a compaction 50 % more expensive.
    options.set_compression_type(DBCompressionType.none())
    options.set_max_background_jobs(2)
    # Compactions wait for a free core instead of competing with answers. At 50,000 events/s on two
    # cores this shortened the p99 of users' answers by a third. Flushes are not held back.
    env = Env()
    env.lower_thread_pool_cpu_priority()
    options.set_env(env)
    options.set_max_open_files(256)
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(MEMTABLE_FILTER_SHARE)
    options.set_level_zero_file_num_compaction_trigger(level_0_files)
    options.set_level_zero_slowdown_writes_trigger(round(SLOWED_SHARE * level_0_files))
    options.set_level_zero_stop_writes_trigger(round(STOPPED_SHARE * level_0_files))
    options.set_keep_log_file_num(2)
    options.set_max_total_wal_size(4 * MEMTABLE_BYTES)
    options.set_level_compaction_dynamic_level_bytes(True)
    return options


class RocksStore:
    """One partition of one table on disk. Keys and values are bytes.

    The last batch of every write also sets the changelog offset up to which the database is
    written, atomically. So the database always equals the changelog up to a known offset, except
    that a crash may leave values of an unfinished write. These are in the changelog after that
    offset, so a replay from there overwrites them.

    RocksDB verifies each block that it reads. Damage raises :class:`StoreCorruptError`, and
    :meth:`close` then sets the database aside.
    """

    def __init__(self, path: Path, memory: RocksMemory) -> None:
        """Open or create the database in ``path``.

        Raises:
            StoreLockedError: another process has it open.
            StoreCorruptError: its files are damaged; see :meth:`set_aside`.
        """
        self.path = path
        #: Damage found since the database was opened.
        self.damage: StoreCorruptError | None = None
        self._memory = memory
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        try:
            options = self._memory.options
            # Set for the column family as well: rocksdict would open an existing one with the
            # options of its OPTIONS file, which does not name a filter that rocksdict can create.
            self._db = Rdict(str(self.path), options=options, column_families={"default": options})
            offset = self._db.get(OFFSET_KEY)
        except Exception as exc:
            text = str(exc)
            # Checked first, because RocksDB also reports "block checksum mismatch".
            if _is_corruption(exc):
                raise StoreCorruptError(text) from exc
            if "lock" in text.lower():
                raise StoreLockedError(text) from exc
            raise
        self._offset = None if offset is None else int(offset)

    @property
    def offset(self) -> int | None:
        """Changelog offset of the last record in the database; None if there is none."""
        return self._offset

    @property
    def changelog_id(self) -> str:
        """Id of the changelog topic to which :attr:`offset` belongs; empty if it is unknown."""
        return (self.get(CHANGELOG_ID_KEY) or b"").decode()

    def set_changelog_id(self, topic_id: str, offset: int | None = None) -> None:
        """Set the id of the changelog topic, and ``offset`` in it (None: unchanged)."""
        batch = WriteBatch(raw_mode=True)
        batch.put(CHANGELOG_ID_KEY, topic_id.encode())
        if offset is not None:
            batch.put(OFFSET_KEY, b"%d" % offset)
            self._offset = offset
        self._db.write(batch)

    @staticmethod
    def set_aside(path: Path) -> Path:
        """Move a damaged database away; an earlier one set aside is deleted."""
        aside = path.with_name(path.name + ".damaged")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        return aside

    def _judge(self, exc: Exception) -> Exception:
        """Return the exception to raise for ``exc``, and record damage."""
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
        """Return the values of ``keys`` in their order. Releases the GIL during the read."""
        try:
            return cast("list[bytes | None]", self._db.get(list(keys)))
        except Exception as exc:
            raise self._judge(exc) from exc

    def write(
        self,
        changes: Any,
        offset: int,
        in_order: Callable[[Any], _protocols.SortedEntries] = SortedEntries,
        pace: WritePace = FULL_PACE,
    ) -> int:
        """Put or (for None) delete values, and in the last batch set the changelog offset.

        Arguments:
            changes: values by key.
            offset: changelog offset of the last of them.
            in_order: sorts them by key. Sorted insertion into a memtable takes two thirds of the
                time, because each position is near the previous one.
            pace: number of keys per write, and the pause between writes.

        Returns:
            The bytes written, including keys and RocksDB's overhead.
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
        """Yield up to ``limit`` keys and values after ``after``, in key order."""
        # Rdict.items() would be slightly faster, but at damage it ends as if that were the end.
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
        """Yield all keys, in order, and their values in batches of ``size``.

        Takes half the time of :meth:`items`, because it does not create a tuple per row.
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
        """RocksDB's estimate of the number of keys."""
        return self._db.property_int_value("rocksdb.estimate-num-keys") or 0

    def property(self, name: str) -> int:
        """Return one of RocksDB's integer properties, such as ``rocksdb.total-sst-files-size``."""
        return self._db.property_int_value(name) or 0

    def clear(self) -> None:
        """Delete everything and continue with an empty database."""
        self._close()
        shutil.rmtree(self.path, ignore_errors=True)
        self.damage = None
        self._open()

    def close(self) -> None:
        """Flush, close and unlock the database; a damaged one is set aside."""
        self._close()
        if self.damage is not None:
            self.set_aside(self.path)

    def _close(self) -> None:
        try:
            self._db.close()
        except Exception as exc:
            # Rows that cannot be flushed any more will be restored from the changelog.
            if not _is_corruption(exc):
                raise
