"""Aging: the cost of an event in one partition as the number of remembered ids grows.

It runs one of eight partitions under a steady load, without Kafka or waits. Chunks of a fetch's
size are processed, packed for the changelog and flushed to RocksDB as often, in event time, as by a
task. Processor time is that of the processing thread and of the thread that reads and writes.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import uvloop

import settings as program_settings
from accelerator import UserBackend, WireBackend, layer_backend
from agents.engagement import EngagementProcessor
from benchmarks.rig.figures import Row
from benchmarks.rig.filling import FILLED_UNTIL_MS, Filling, fill_store
from benchmarks.rig.loads import NOMINAL_RATE, VIDEOS
from benchmarks.rig.snapshots import work_folder
from benchmarks.rig.worker import BenchError
from loadgen import Workload
from streaming.kafka.batch_writer import BATCH_BYTES, packer
from streaming.kafka.clients import REQUEST_TIMEOUT_MS
from streaming.kafka.producer import TransactionalProducer
from streaming.tasks.flusher import FLUSH_INTERVAL_S
from streaming.tasks.outbox import Outbox
from streaming.tasks.shared_limits import SharedLimits
from streaming.tasks.task import Task
from tables.rocks import RocksStore
from tables.rocks_options import RocksMemory
from tables.state import PartitionState
from tables.users import user_layout, user_windows

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.rig.bench import Bench

PARTITIONS = 8

#: Minutes of event time from the start; each measurement begins where the previous one ended.
MINUTES: dict[str, tuple[float, ...]] = {
    "smoke": (0.05, 0.1),
    "quick": (1, 4, 10),
    "full": (1, 4, 10, 30, 60),
}

#: Fetches are 20 ms apart, and take some time themselves.
_FETCH_S = 0.025
_FETCHES_A_COMMIT = 4
_BUFFER_BYTES = (64 << 20) // PARTITIONS


def run(bench: Bench) -> list[Row]:
    """Measure each number of users, in the full size for an hour of event time."""
    minutes = MINUTES.get(bench.size.name, MINUTES["quick"])
    rows: list[Row] = []
    for users in bench.size.users:
        of_minute = {until: Row({"minutes": until, "users": users}) for until in minutes}
        for number in range(bench.size.runs):
            _measure(bench, of_minute, users, f"{users:,} users, run {number + 1}")
        rows += of_minute.values()
    return rows


def _measure(bench: Bench, of_minute: dict[float, Row], users: int, name: str) -> None:
    with work_folder() as folder, ThreadPoolExecutor(1) as executor:
        bench.tell(f"{name}: filling a RocksDB")
        aging = Aging(folder, users, executor)
        begun = 0.0
        for until, row in of_minute.items():
            bench.tell(f"{name}: minutes {begun:g} to {until:g}")
            events = round((until - begun) * 60 * NOMINAL_RATE / PARTITIONS)
            row.add(uvloop.run(aging.go_on(events)))
            begun = until
        aging.close()


def _fail(_: Task, exc: object) -> None:
    raise BenchError(f"the task has failed: {exc!r}")


class Fetched(NamedTuple):
    """A record of a fetch."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[()] = ()


class Aging:
    """A partition of users under its own load."""

    def __init__(self, folder: Path, users: int, executor: ThreadPoolExecutor) -> None:
        """Fill a database in ``folder`` with a partition's share of ``users`` users."""
        settings = program_settings.load({"TOPIC_PARTITIONS": "1"})
        windows = user_windows(settings)
        self._executor = executor
        self._topic = settings.events_topic
        self._memory = RocksMemory.create(_BUFFER_BYTES)
        self._store = RocksStore(folder / "aging.db", self._memory)
        fill_store(self._store, Filling(users // PARTITIONS), windows)
        self._state = PartitionState(
            *("users", user_layout(windows), self._store, executor), layer_backend()
        )
        outbox = Outbox()
        self._processor = EngagementProcessor(
            *(0, self._state, outbox, settings, UserBackend.of(windows), "changelog", 1)
        )
        # The producer is never started.
        lock = TransactionalProducer("aging", "aging", {"request_timeout_ms": REQUEST_TIMEOUT_MS})
        self._task = Task(
            *(0, [self._processor], outbox, lock, _fail, _fail, SharedLimits(range(PARTITIONS)))
        )
        self._task.begin_restoring()
        self._task.reset_to_committed()
        self._task.positions = dict.fromkeys(self._task.sources, 0)
        self._task.committed = dict(self._task.positions)
        self._pack = packer(WireBackend.of().pack)
        self._load = Workload(
            *(1, users // PARTITIONS, VIDEOS),
            start_ms=FILLED_UNTIL_MS,
            ms_per_event=1000 * PARTITIONS / NOMINAL_RATE,
            max_events_per_ms=math.inf,
        )
        self._flushed_ms = FILLED_UNTIL_MS

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    async def go_on(self, events: int) -> dict[str, float]:
        """Process the next ``events`` events, and return the cost per event."""
        a_fetch = round(NOMINAL_RATE / PARTITIONS * _FETCH_S)
        used_s, sent, read = 0.0, 0, self._keys_read()
        done = 0
        while done < events:
            chunk = self._load.chunk(a_fetch * _FETCHES_A_COMMIT)
            records = [
                Fetched(offset, 0, *record)
                for offset, record in enumerate(zip(chunk.keys, chunk.values, strict=True))
            ]
            before_s = self._cpu_s()
            for first in range(0, len(records), a_fetch):
                part = records[first : first + a_fetch]
                await self._processor.process(part, self._topic, {})
            sent += await self._commit()
            used_s += self._cpu_s() - before_s
            done += len(records)
        return {
            "us/event": used_s / done * 1e6,
            "changelog bytes/event": sent / done,
            "keys read/event": (self._keys_read() - read) / done,
        }

    async def _commit(self) -> int:
        """Commit, flush if it is due, and return the bytes for the changelog."""
        self._task.prepare()
        frozen = self._task.freeze()
        size = 0
        if frozen is not None:
            for _, changes in frozen.changes:
                size += sum(batch.size() for batch in self._pack(changes, BATCH_BYTES))
            self._task.post_commit(frozen, [1] * len(frozen.changes))
        await self._task.flush_early()
        now_ms = self._state.stream_time or 0
        if now_ms - self._flushed_ms >= FLUSH_INTERVAL_S * 1000:
            self._flushed_ms = now_ms
            await self._task.flush()
        return size

    def _cpu_s(self) -> float:
        return time.thread_time() + self._executor.submit(time.thread_time).result()

    def _keys_read(self) -> int:
        told = self._memory.tickers()
        return told["rocksdb.number.multiget.keys.read"] + told["rocksdb.number.keys.read"]
