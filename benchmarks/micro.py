"""Micro: the cost of each stage of the hot path alone, in microseconds of processor time.

Stages run one after the other in one thread, on data of the load generator and on a RocksDB of one
partition. Waits for the disk and RocksDB's own threads do not count.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

import settings as program_settings
from accelerator import IS_BUILT, PaneBackend, UserBackend, WireBackend, layer_backend
from benchmarks.rig.figures import Row
from benchmarks.rig.filling import FILLED_UNTIL_MS, Filling, fill_store
from benchmarks.rig.in_process import decode, fetched, make_processor, process, timed, unpacked
from benchmarks.rig.loads import make_load
from benchmarks.rig.snapshots import work_folder
from models.chunk import Overlay
from models.counters import USER, VIDEO
from models.schema import Metadata
from models.viral import ViralRule
from streaming.kafka.batch_writer import BATCH_BYTES, packer
from streaming.tasks.outbox import Outbox
from tables.rocks import RocksStore
from tables.rocks_options import RocksMemory
from tables.users import user_windows
from tables.videos import video_windows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.rig.bench import Bench

_EVENTS = 50_000
_CHUNK = 1_000
_KEYS = 20_000
_DELTAS = 2_000
_BUFFER_BYTES = 64 << 20


def run(bench: Bench) -> list[Row]:
    """Measure all stages, on a database with the users of one of eight partitions."""
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
    """The stages, on their own database."""

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
        """Yield stage, unit and microseconds per unit."""
        forms = {"plain": UserBackend.of(self._windows, accelerated=False)}
        if IS_BUILT:
            forms["compiled"] = UserBackend.of(self._windows)
        for form, backend in forms.items():
            chunk = self._loads["sessions"].chunk(_EVENTS)
            unpack = partial(unpacked, accelerated=form == "compiled")
            us, records = timed(unpack, fetched(chunk.keys, chunk.values))
            yield f"fetch: unpack record batches ({form})", "event", us / len(records)
            us, _ = timed(decode, records, backend)
            yield f"decode, check and place ({form})", "event", us / len(records)

        for kind, load in self._loads.items():
            for form, backend in forms.items():
                chunk = load.chunk(_EVENTS)
                accelerated = form == "compiled"
                records = unpacked(fetched(chunk.keys, chunk.values), accelerated=accelerated)
                processor = make_processor(
                    *(self._store, self._executor, self._settings, backend, Outbox()),
                    accelerated=accelerated,
                )
                us = process(processor, self._executor, records, self._settings.events_topic)
                yield f"fold, {kind}, all of it with reads ({form})", "event", us / len(records)

        yield from self._videos()

        users = self._rng.permutation(self._users)[:_KEYS] + 1
        keys = [b"%d" % user for user in users.tolist()]
        us, found = timed(self._get, keys)
        yield "RocksDB multi-get, random keys", "key", us / len(keys)

        changes: dict[bytes, bytes | None] = {}
        rows = Overlay(changes, found, (), self._store.get)
        rows.ahead.update(zip(keys, found, strict=True))
        us, _ = timed(self._merge, rows, keys)
        yield "merge and pack (plain)", "event", us / len(keys)

        for form in forms:
            pack = packer(WireBackend.of(accelerated=form == "compiled").pack)
            layer = layer_backend(accelerated=form == "compiled").layer()
            for key, value in changes.items():
                layer[key] = value
            us, _ = timed(list, pack(layer, BATCH_BYTES))
            yield f"changelog append ({form})", "key", us / len(changes)

        us, _ = timed(self._store.write, changes, 2)
        yield "RocksDB write batch", "key", us / len(changes)

    def _videos(self) -> Iterator[tuple[str, str, float]]:
        """Measure a commit's delta records, their application to videos, and the viral rule."""
        windows = video_windows(self._settings)
        pane = FILLED_UNTIL_MS // windows.slices.step
        ids = self._rng.integers(1, _KEYS, _DELTAS).tolist()
        never = ViralRule(1.0, 1 << 30)
        for form in (False, True) if IS_BUILT else (False,):
            name = "compiled" if form else "plain"
            gathered = UserBackend.of(self._windows, accelerated=form).accumulator(VIDEO)
            a_view = VIDEO.increments("video_view", Metadata())
            for video_id in ids:
                gathered.add(video_id, pane, a_view)
            work = partial(gathered.records, 0, FILLED_UNTIL_MS, 8, heartbeat=False)
            work()  # numpy's first call costs more than the rest
            us, records = timed(work)
            yield f"gathered counts to delta records ({name})", "row", us / len(gathered)

            kind, backend = (
                layer_backend(accelerated=form),
                PaneBackend.of_videos(windows, accelerated=form),
            )
            stored = kind.layer()
            for number in range(_KEYS):
                stored[b"%d" % number] = None
            for _ in range(2):  # new videos, then known ones
                chunk = backend.chunk([value for _, value in records])
                layers = [kind.layer(), kind.layer(), stored]
                us_finding, found = timed(kind.find, layers, chunk.keys)
                fold = partial(chunk.apply, backend.windows, found, stored)
                us, _ = timed(fold, FILLED_UNTIL_MS, never)
            yield f"look-up of a key in memory ({name})", "key", us_finding / len(found)
            yield f"fold of a delta into its video ({name})", "row", us / len(chunk.keys)
            values = kind.find([stored], chunk.keys)
            rule = ViralRule(self._settings.viral_coefficient, 1)
            us, _ = timed(backend.windows.judge, values, FILLED_UNTIL_MS, rule)
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
