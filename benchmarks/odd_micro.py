"""Odd traffic in one process: the cost to decode, process and pack a kind, in us per event.

It takes a few seconds, without Kafka, and measures processor time, so it works beside other load.
Ratios are to plain traffic of the same run.
"""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

import settings as program_settings
from accelerator import IS_BUILT, UserBackend
from benchmarks.rig.figures import Row
from benchmarks.rig.in_process import decode, fetched, make_processor, process, timed, unpacked
from benchmarks.rig.odd_kinds import PARTITIONS, PLAIN, kinds_of
from benchmarks.rig.snapshots import work_folder
from models.partitioner import murmur2_partitions
from streaming.kafka.batch_writer import BATCH_BYTES, record_batches
from streaming.tasks.outbox import Outbox
from tables.rocks import RocksStore
from tables.rocks_options import RocksMemory
from tables.users import user_windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.rig.bench import Bench
    from benchmarks.rig.odd_kinds import OddKind
    from settings import Settings
    from streaming.kafka.records import Record

#: Events of partition 0, and events of all partitions that are made at a time.
_EVENTS = 20_000
_MADE = 8_192
_BUFFER_BYTES = 64 << 20


def run(bench: Bench) -> list[Row]:
    """Measure the kinds in turn."""
    settings = program_settings.load({"TOPIC_PARTITIONS": str(PARTITIONS)})
    kinds = kinds_of(bench.size)
    rows = {kind.name: Row({"kind": kind.name, "accelerator": str(IS_BUILT)}) for kind in kinds}
    # A worker rarely collects garbage; a collection here would only add noise.
    gc.disable()
    for number in range(bench.size.runs):
        plain: dict[str, float] = {}
        for kind in kinds:
            bench.tell(f"run {number + 1}: {kind.name}")
            with work_folder() as folder:
                figures = _measure(kind, settings, folder)
            if kind.name == PLAIN:
                plain = figures
            whole = sum(figures.values())
            rows[kind.name].add({**figures, "times plain": whole / sum(plain.values())})
    gc.enable()
    return list(rows.values())


def _measure(kind: OddKind, settings: Settings, folder: Path) -> dict[str, float]:
    records = _records(kind)
    backend = UserBackend.of(user_windows(settings))
    decode_us, _ = timed(decode, records, backend, PARTITIONS)
    outbox = Outbox()
    with ThreadPoolExecutor(1) as executor:
        store = RocksStore(folder / "odd.db", RocksMemory.create(_BUFFER_BYTES))
        processor = make_processor(
            *(store, executor, settings, backend, outbox), accelerated=IS_BUILT
        )
        process_us = process(processor, executor, records, settings.events_topic)
        store.close()
    pack_us, _ = timed(_pack, outbox)
    return {
        "decode us": decode_us / len(records),
        "process us": (process_us - decode_us) / len(records),
        "pack us": pack_us / len(records),
    }


def _records(kind: OddKind) -> Sequence[Record]:
    """Return events of a kind as fetched from partition 0."""
    wanted = max(1, int(_EVENTS * kind.share))
    pairs = _of_partition_0(kind)
    keys, values = zip(*(next(pairs) for _ in range(wanted)), strict=True)
    return unpacked(fetched(keys, values), accelerated=IS_BUILT)


def _of_partition_0(kind: OddKind) -> Iterator[tuple[bytes, bytes]]:
    load = kind.load()
    while True:
        chunk = load.chunk(max(1, int(_MADE * kind.share)))
        for at in np.flatnonzero(murmur2_partitions(chunk.users, PARTITIONS) == 0).tolist():
            yield chunk.keys[at], chunk.values[at]


def _pack(outbox: Outbox) -> None:
    for records in outbox.take().values():
        for batch, _ in record_batches(records, BATCH_BYTES):
            batch.close()
