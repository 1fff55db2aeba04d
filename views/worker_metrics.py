"""Metrics from a worker's state, read at a scrape, at no cost for the hot path."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from rocksdict import DbClosedError

from tables.users import NAME as USERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streaming.ports import WorkerStatus
    from tables.sliced import SlicedTable
    from tables.state import PartitionState
    from views.query_context import QueryContext

#: RocksDB's integer properties to export, as sums over the partitions of a table.
ROCKSDB_PROPERTIES: Final = (
    ("size_bytes", "rocksdb.total-sst-files-size", "Size of the files."),
    ("keys", "rocksdb.estimate-num-keys", "RocksDB's estimate of the number of keys."),
    (
        "memtable_bytes",
        "rocksdb.cur-size-all-mem-tables",
        "Memory of writes that are not in files yet.",
    ),
    (
        "pending_compaction_bytes",
        "rocksdb.estimate-pending-compaction-bytes",
        "Bytes that compaction must still rewrite.",
    ),
    ("running_compactions", "rocksdb.num-running-compactions", "Compactions under way."),
    ("writes_stopped", "rocksdb.is-write-stopped", "Databases that currently accept no writes."),
)

#: RocksDB's counters to export, over all databases of the worker, each with a factor.
ROCKSDB_TICKERS: Final = (
    ("keys_read", "rocksdb.number.multiget.keys.read", 1.0, "Keys that were not in memory."),
    ("stall_seconds", "rocksdb.stall.micros", 1e-6, "Time that writes waited for compaction."),
    ("written_bytes", "rocksdb.bytes.written", 1.0, "Bytes written by commits and recovery."),
    (
        "compaction_written_bytes",
        "rocksdb.compact.write.bytes",
        1.0,
        "Bytes written by compaction.",
    ),
)

#: Files with a container's memory limit, of cgroups version 2 and 1.
CGROUP_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


class WorkerCollector(Collector):
    """Metrics of a worker's partitions, databases and machine at the time of a scrape.

    Only partitions of this worker have series; the next scrape lacks those that moved away.
    """

    def __init__(
        self, status: WorkerStatus, query_context: QueryContext, obstacle: Callable[[], str | None]
    ) -> None:
        """Read the status and the tables; ``obstacle`` returns why the worker is not ready."""
        self._status = status
        self._query_context = query_context
        self._obstacle = obstacle

    def collect(self) -> Iterable[Metric]:
        """Yield all families."""
        yield from self._partitions()
        yield from self._tables()
        yield from self._databases()
        yield from self._machine()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the families are known only at a scrape."""
        return ()

    def _partitions(self) -> Iterator[Metric]:
        assigned, opened = self._status.assigned(), self._status.open()
        ready = float(self._obstacle() is None)
        yield _gauge("ready", "1 if the worker can answer for its partitions, else 0.", ready)
        yield _gauge("partitions", "Partitions that the group shares.", self._status.partitions)
        yield _gauge("partitions_assigned", "Partitions of this worker.", len(assigned))
        yield _gauge(
            "partitions_open", "Partitions of this worker that are processed.", len(opened)
        )
        waiting = GaugeMetricFamily(
            "reels_uncommitted_seconds",
            "Time since the oldest uncommitted change.",
            labels=["partition"],
        )
        for number, seconds in self._status.uncommitted_s().items():
            waiting.add_metric([str(number)], seconds)
        yield waiting
        stream_time = GaugeMetricFamily(
            "reels_stream_time_seconds",
            "Latest accepted event time, in seconds since 1970.",
            labels=["partition"],
        )
        users = self._query_context.tables[USERS].data.partitions
        for number in opened:
            state = users.get(number)
            if state is not None and state.stream_time is not None:
                stream_time.add_metric([str(number)], state.stream_time / 1000)
        yield stream_time

    def _tables(self) -> Iterator[Metric]:
        overlay = GaugeMetricFamily(
            "reels_overlay_keys", "Keys with uncommitted changes, by table.", labels=["table"]
        )
        for table in self._query_context.tables.values():
            keys = sum(state.layers.uncommitted_keys for state in _open_states(table))
            overlay.add_metric([table.name], keys)
        yield overlay
        for name, property_name, text in ROCKSDB_PROPERTIES:
            family = GaugeMetricFamily(f"reels_rocksdb_{name}", text, labels=["table"])
            for table in self._query_context.tables.values():
                total = 0
                for state in _open_states(table):
                    # A thread may be replacing the database.
                    with suppress(DbClosedError):
                        total += state.store.property(property_name)
                family.add_metric([table.name], total)
            yield family

    def _databases(self) -> Iterator[Metric]:
        tickers = self._query_context.memory.tickers()
        for name, ticker, unit, text in ROCKSDB_TICKERS:
            value = tickers.get(ticker, 0) * unit
            yield CounterMetricFamily(f"reels_rocksdb_{name}", text, value=value)

    def _machine(self) -> Iterator[Metric]:
        folder = self._status.data_dir
        while not folder.exists():
            folder = folder.parent
        disk = shutil.disk_usage(folder)
        yield _gauge("disk_size_bytes", "Size of the disk with the tables.", disk.total)
        yield _gauge("disk_free_bytes", "Free space on the disk with the tables.", disk.free)
        yield _gauge("memory_limit_bytes", "Memory that the worker may use.", memory_limit())


def memory_limit() -> int:
    """Return the container's memory limit or the machine's memory, the smaller one, in bytes."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CGROUP_LIMITS:
        with suppress(OSError, ValueError):
            found.append(int(path.read_text()))
    return min(found)


def _open_states(table: SlicedTable[Any]) -> list[PartitionState]:
    return [state for state in table.data.partitions.values() if not state.is_closed]


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"reels_{name}", text, value=value)
