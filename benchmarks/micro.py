"""Micro: what each stage of the hot path costs, alone, in microseconds of processor time.

Stages run one after the other in one thread, on data as the load generator makes it and on a
RocksDB of one partition; waits for the disk do not count, and neither do RocksDB's own threads.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

import settings as program_settings
from accelerator import IS_BUILT, Counting, Folding, Packing, memory
from agents.engagement import EngagementProcessor
from benchmarks.rig.figures import Row
from benchmarks.rig.filling import FILLED_UNTIL_MS, Filling, fill_store
from benchmarks.rig.loads import make_load
from benchmarks.rig.snapshots import work_folder
from models.chunk import Overlay
from models.counters import USER, VIDEO
from models.schema import Metadata
from models.viral import ViralRule
from streaming.kafka.batch_reader import RawMemoryRecords, unpacker
from streaming.kafka.batch_writer import BATCH_BYTES, packer
from streaming.tasks.outbox import Outbox
from tables.rocks import RocksMemory, RocksStore
from tables.state import PartitionState
from tables.users import user_layout, user_windows
from tables.videos import video_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from benchmarks.rig.bench import Bench
    from streaming.kafka.records import Record

T = TypeVar("T")

_EVENTS = 50_000
_CHUNK = 1_000
_KEYS = 20_000
_DELTAS = 2_000
_BATCH_BYTES = 512 << 10
_BUFFER_BYTES = 64 << 20


def run(bench: Bench) -> list[Row]:
    """Measure all stages, with a database of the users that one of eight partitions would have."""
    users = max(bench.size.users) // 8
    rows: dict[str, Row] = {}
    with work_folder() as folder, ThreadPoolExecutor(1) as executor:
        bench.tell(f"filling a RocksDB of {users:,} users")
        stages = Stages(folder, users, executor)
        for number in range(bench.size.runs):
            bench.tell(f"run {number + 1}")
            for stage, unit, us in stages.measure():
                row = rows.setdefault(stage, Row({"stage": stage, "per": unit, "users": users}))
                row.add({"us": us})
        stages.close()
    return list(rows.values())


class Stages:
    """The stages, on a database of their own."""

    def __init__(self, folder: Path, users: int, executor: ThreadPoolExecutor) -> None:
        """Fill a database in ``folder`` with ``users`` users."""
        self._settings = program_settings.load({"TOPIC_PARTITIONS": "1"})
        self._windows = user_windows(self._settings)
        self._memory = RocksMemory.create(_BUFFER_BYTES)
        self._store = RocksStore(folder / "micro.db", self._memory)
        self._executor = executor
        fill_store(self._store, Filling(users), self._windows)
        self._users = users
        self._rng = np.random.default_rng(1)
        self._loads = {
            kind: make_load(kind, 1, users, FILLED_UNTIL_MS) for kind in ("sessions", "uniform")
        }

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def measure(self) -> Iterator[tuple[str, str, float]]:
        """Yield stage, unit and microseconds a unit."""
        forms = {"plain": Folding.of(self._windows, accelerated=False)}
        if IS_BUILT:
            forms["compiled"] = Folding.of(self._windows)
        for form, folding in forms.items():
            chunk = self._loads["sessions"].chunk(_EVENTS)
            us, records = _timed(_unpack, self._fetch(chunk.keys, chunk.values), form)
            yield f"fetch: unpack record batches ({form})", "event", us / len(records)
            us, _ = _timed(_decode, records, folding)
            yield f"decode, check and place ({form})", "event", us / len(records)

        for kind, load in self._loads.items():
            for form, folding in forms.items():
                chunk = load.chunk(_EVENTS)
                records = _unpack(self._fetch(chunk.keys, chunk.values), form)
                yield (
                    f"fold, {kind}, all of it with reads ({form})",
                    "event",
                    self._fold(records, folding, accelerated=form == "compiled"),
                )

        yield from self._videos()

        users = self._rng.permutation(self._users)[:_KEYS] + 1
        keys = [b"%d" % user for user in users.tolist()]
        us, found = _timed(self._get, keys)
        yield "RocksDB multi-get, random keys", "key", us / len(keys)

        changes: dict[bytes, bytes | None] = {}
        rows = Overlay(changes, found, (), self._store.get)
        rows.ahead.update(zip(keys, found, strict=True))
        us, _ = _timed(self._merge, rows, keys)
        yield "merge and pack (plain)", "event", us / len(keys)

        for form in forms:
            pack = packer(Packing.of(accelerated=form == "compiled").pack)
            layer = memory(accelerated=form == "compiled").layer()
            for key, value in changes.items():
                layer[key] = value
            us, _ = _timed(list, pack(layer, BATCH_BYTES))
            yield f"changelog append ({form})", "key", us / len(changes)

        us, _ = _timed(self._store.write, changes, 2)
        yield "RocksDB write batch", "key", us / len(changes)

    def _videos(self) -> Iterator[tuple[str, str, float]]:
        """Spread a commit's counts over the partitions, and fold them into videos in memory."""
        windows = video_windows(self._settings)
        pane = FILLED_UNTIL_MS // windows.slices.step
        ids = self._rng.integers(1, _KEYS, _DELTAS).tolist()
        never = ViralRule(1.0, 1 << 30)
        for form in (False, True) if IS_BUILT else (False,):
            name = "compiled" if form else "plain"
            gathered = Folding.of(self._windows, accelerated=form).gathered()
            a_view = VIDEO.increments("video_view", Metadata())
            for video_id in ids:
                gathered.add(video_id, pane, a_view)
            work = partial(gathered.records, 0, FILLED_UNTIL_MS, 8, tick=False)
            work()  # numpy's first time costs more than all of it
            us, records = _timed(work)
            yield f"gathered counts to delta records ({name})", "row", us / len(gathered)

            kind, counting = memory(accelerated=form), Counting.of_videos(windows, accelerated=form)
            stored = kind.layer()
            for number in range(_KEYS):
                stored[b"%d" % number] = None
            for _ in range(2):  # new videos, then known ones
                chunk = counting.chunk([value for _, value in records])
                layers = [kind.layer(), kind.layer(), stored]
                us_finding, found = _timed(kind.find, layers, chunk.keys)
                fold = partial(chunk.apply, counting.functions, found, stored)
                us, _ = _timed(fold, FILLED_UNTIL_MS, never)
            yield f"look-up of a key in memory ({name})", "key", us_finding / len(found)
            yield f"fold of a delta into its video ({name})", "row", us / len(chunk.keys)
            values = kind.find([stored], chunk.keys)
            rule = ViralRule(self._settings.viral_coefficient, 1)
            us, _ = _timed(counting.functions.judge, values, FILLED_UNTIL_MS, rule)
            yield f"whether a video is viral ({name})", "video", us / len(values)

    def _merge(self, rows: Overlay, keys: list[bytes]) -> None:
        """Apply one view to each of ``keys``."""
        a_view = USER.increments("video_view", Metadata(1000))
        apply, now = self._windows.apply, FILLED_UNTIL_MS + 60_000
        for number, key in enumerate(keys):
            apply(rows, key, a_view, now, number, now)

    def _get(self, keys: list[bytes]) -> list[bytes | None]:
        parts = [keys[first : first + _CHUNK] for first in range(0, len(keys), _CHUNK)]
        return [value for part in parts for value in self._store.get_many(part)]

    def _fold(self, records: Sequence[Record], folding: Folding, *, accelerated: bool) -> float:
        """Fold in chunks as a task does; the reads' thread counts, too."""
        layout, kind = user_layout(self._windows), memory(accelerated=accelerated)
        state = PartitionState("users", layout, self._store, self._executor, kind)
        processor = EngagementProcessor(0, state, Outbox(), self._settings, folding, "changelog", 1)
        processor.reset_to_committed()

        async def fold() -> None:
            for first in range(0, len(records), _CHUNK):
                chunk = records[first : first + _CHUNK]
                await processor.process(chunk, self._settings.events_topic, {})

        before = self._executor.submit(time.thread_time).result()
        us, _ = _timed(asyncio.run, fold())
        reading_s = self._executor.submit(time.thread_time).result() - before
        return (us + reading_s * 1e6) / len(records)

    def _fetch(self, keys: list[bytes], values: list[bytes]) -> PartitionRecords:
        """Return what a fetch brings of a partition that has ``values``."""
        records = RawMemoryRecords(b"".join(self._packed(keys, values)))
        partition = TopicPartition("events", 0)
        return PartitionRecords(partition, records, [], 0, None, None, True, READ_COMMITTED)  # noqa: FBT003

    @staticmethod
    def _packed(keys: list[bytes], values: list[bytes]) -> list[bytes]:
        """Return the record batches of ``keys`` and ``values``, half a MiB each."""

        def begin() -> DefaultRecordBatchBuilder:
            return DefaultRecordBatchBuilder(2, 0, 1, 0, 0, 0, _BATCH_BYTES)

        def end() -> bytes:
            # A builder's offsets begin at 0: the broker says which they are.
            return first.to_bytes(8, "big") + bytes(builder.build())[8:]

        batches, builder, first = [], begin(), 0
        for offset, (key, value) in enumerate(zip(keys, values, strict=True)):
            if builder.append(offset - first, 0, key, value, []) is None:
                batches.append(end())
                builder, first = begin(), offset
                builder.append(0, 0, key, value, [])
        return [*batches, end()]


def _unpack(fetched: PartitionRecords, form: str) -> Sequence[Record]:
    return unpacker(Packing.of(accelerated=form == "compiled").records)(fetched)


def _decode(records: Sequence[Record], folding: Folding) -> None:
    for first in range(0, len(records), _CHUNK):
        folding.chunk(records[first : first + _CHUNK], 0, 1, 1 << 60)


def _timed(work: Callable[..., T], *arguments: Any) -> tuple[float, T]:
    """Return the microseconds of processor time that ``work`` took here, and its result."""
    begun = time.thread_time()
    result = work(*arguments)
    return (time.thread_time() - begun) * 1e6, result
