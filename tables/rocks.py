"""RocksDB as one partition of one table uses it: opened, read in batches, written atomically."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple, cast

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteBufferManager,
)

from .layout import INTERNAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

#: Faust's own key for the changelog offset that a database stands for.
OFFSET_KEY = b"__faust\0offset__"

#: Ribbon filters would be smaller, bloom filters are cheaper to ask: most keys asked for exist.
BLOOM_BITS_PER_KEY = 10

#: A point look-up reads one block: small blocks read and unpack less that nobody asked for.
BLOCK_SIZE = 4 << 10

#: Bytes of one partition's memtable. Small ones keep the level 0 files, and so what a cold read
#: may have to look through, few; the write buffer manager bounds their sum over all partitions.
MEMTABLE_SIZE = 8 << 20


class StoreLockedError(Exception):
    """Another process has this database open."""


class StoreCorruptError(Exception):
    """RocksDB says that the files of this database are damaged."""


class RocksMemory(NamedTuple):
    """The memory that all databases of a worker share, in bytes as given to :meth:`create`."""

    cache: Cache
    write_buffers: WriteBufferManager

    @classmethod
    def create(cls, block_cache: int, write_buffers: int) -> RocksMemory:
        """Make a block cache and a bound for all memtables, both in bytes."""
        return cls(
            Cache(block_cache),
            WriteBufferManager(write_buffers, False),  # noqa: FBT003 - positional only
        )


def _options(memory: RocksMemory) -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(memory.cache)
    table.set_block_size(BLOCK_SIZE)
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, block_based=False)
    # Filters and indexes count against the cache, so that memory stays bounded as keys grow.
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)  # noqa: FBT003
    options.set_block_based_table_factory(table)
    options.set_write_buffer_manager(memory.write_buffers)
    options.set_write_buffer_size(MEMTABLE_SIZE)
    options.set_max_write_buffer_number(3)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_background_jobs(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(2)
    options.set_max_total_wal_size(4 * MEMTABLE_SIZE)
    options.set_level_compaction_dynamic_level_bytes(True)
    return options


class RocksStore:
    """One partition of one table on disk. Keys and values are bytes.

    Every write carries the changelog offset that the database stands for after it, in the same
    atomic batch: what is on disk is always the changelog up to one known offset.
    """

    def __init__(self, path: Path, memory: RocksMemory) -> None:
        """Open or create the database in ``path``.

        Raises:
            StoreLockedError: another process has it open.
            StoreCorruptError: its files are damaged; see :meth:`set_aside`.
        """
        self.path = path
        self._memory = memory
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        try:
            self._db = Rdict(str(self.path), options=_options(self._memory))
            offset = self._db.get(OFFSET_KEY)
        except Exception as exc:
            text = str(exc)
            if "lock" in text.lower():
                raise StoreLockedError(text) from exc
            if "orruption" in text:
                raise StoreCorruptError(text) from exc
            raise
        self._offset = None if offset is None else int(offset)

    @property
    def offset(self) -> int | None:
        """Offset of the last changelog record that is in here, None when there is none."""
        return self._offset

    @staticmethod
    def set_aside(path: Path) -> Path:
        """Move a damaged database out of the way; an older one set aside is deleted."""
        aside = path.with_name(path.name + ".damaged")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        return aside

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``."""
        value: bytes | None = self._db.get(key)
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of ``keys`` in their order. Releases the GIL while it reads."""
        return cast("list[bytes | None]", self._db.get(list(keys)))

    def write(self, changes: Mapping[bytes, bytes | None], offset: int) -> None:
        """Put and (for None) delete in one atomic batch, together with the changelog offset."""
        batch = WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        for key, value in changes.items():
            if value is None:
                delete(key)
            else:
                put(key, value)
        put(OFFSET_KEY, b"%d" % offset)
        self._db.write(batch)
        self._offset = offset

    def items(
        self, after: bytes | None = None, limit: int = sys.maxsize
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield up to ``limit`` keys and values beyond ``after``, in the order of the keys."""
        items = cast("Iterator[tuple[bytes, bytes]]", self._db.items(from_key=after))
        for key, value in items:
            if key == after or key.startswith(INTERNAL_PREFIX):
                continue
            if limit <= 0:
                return
            limit -= 1
            yield key, value

    @property
    def estimated_keys(self) -> int:
        """RocksDB's own estimate of the number of keys."""
        return self._db.property_int_value("rocksdb.estimate-num-keys") or 0

    def property(self, name: str) -> int:
        """Return one of RocksDB's integer properties, such as ``rocksdb.total-sst-files-size``."""
        return self._db.property_int_value(name) or 0

    def clear(self) -> None:
        """Delete everything and begin with an empty database."""
        self._db.close()
        shutil.rmtree(self.path, ignore_errors=True)
        self._open()

    def close(self) -> None:
        """Flush and close; the files' lock is released."""
        self._db.close()
