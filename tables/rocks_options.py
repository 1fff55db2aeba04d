"""RocksDB's options, and the memory that all databases of a worker share."""

from __future__ import annotations

from typing import NamedTuple

from rocksdict import BlockBasedOptions, DBCompressionType, Env, Options, WriteBufferManager

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
