"""The loads and the filled state equal what the program would make of real traffic."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from aiokafka.record.memory_records import MemoryRecords

from benchmarks.rig.filling import FILLED_UNTIL_MS, Filling
from benchmarks.rig.loads import make_load
from benchmarks.rig.spool import Spool, stamp
from models.counters import USER
from models.dedup import block_key, is_sealed_key
from models.event import Event, decode
from models.user import UserWindows
from models.windows import Slices
from tests.counted import of_user

if TYPE_CHECKING:
    from pathlib import Path


WINDOWS = UserWindows(Slices(24 * 3_600_000, 900_000), 3_600_000)
SEEN, ROW = struct.Struct("<QI"), struct.Struct("<I" + USER.codes(USER.version))


def filled(filling: Filling) -> tuple[dict[bytes, bytes], dict[int, list[bytes]]]:
    """Return all rows by key, and the keys by user."""
    rows: dict[bytes, bytes] = {}
    keys: dict[int, list[bytes]] = {}
    for users, found, values in filling.rows(WINDOWS):
        rows.update(zip(found, values, strict=True))
        for user, key in zip(users.tolist(), found, strict=True):
            keys.setdefault(user, []).append(key)
    return rows, keys


def test_filled_rows_are_byte_by_byte_what_applying_their_events_gives() -> None:
    rows, keys = filled(Filling(300))
    for user, its in keys.items():
        key = b"%d" % user
        value = rows[key]
        pane, views, likes, *rest = ROW.unpack(value[-ROW.size :])
        opened = value[3] * SEEN.size
        blocks = [rows[block_key(key, number)][9:] for number in range(value[1])]
        ids = b"".join(blocks) + value[-ROW.size - opened : -ROW.size]
        seen = list(SEEN.iter_unpack(ids))
        assert len(seen) == views + likes
        replayed: dict[bytes, bytes | None] = {}
        for number, (id_hash, clock) in enumerate(seen):
            t_ms = FILLED_UNTIL_MS - ((FILLED_UNTIL_MS - clock) & 0xFFFFFFFF)
            assert t_ms // 900_000 == pane
            kind = "video_view" if number < views else "like"
            added = (1, 0, *rest) if number == 0 else of_user(kind)
            assert WINDOWS.apply(replayed, key, added, t_ms, id_hash, t_ms)
        assert replayed == {each: rows[each] for each in its}
    assert len(rows) > len(keys)


def test_every_user_is_filled_once() -> None:
    rows, _ = filled(Filling(1000))
    assert sorted(int(key) for key in rows if not is_sealed_key(key)) == list(range(1, 1001))


def test_filled_panes_are_all_in_the_window() -> None:
    rows, keys = filled(Filling(50, panes=24, spread_ms=900_000))
    for value in (rows[b"%d" % user] for user in keys):
        panes = WINDOWS.series(value, FILLED_UNTIL_MS - 1)
        assert len(panes) == 24
        total = WINDOWS.metrics(value, FILLED_UNTIL_MS - 1)
        assert total.views == sum(pane.views for pane in panes) > 0


@pytest.mark.parametrize("kind", ["sessions", "uniform"])
def test_loads_are_valid_events_with_ids_of_their_own(kind: str) -> None:
    chunk = make_load(kind, 1, 1000, FILLED_UNTIL_MS).chunk(5000)
    events = cast("list[Event]", [decode(value) for value in chunk.values])

    assert all(isinstance(event, Event) for event in events)
    assert len({event.event_id for event in events}) == 5000
    assert [b"%d" % event.user_id for event in events] == chunk.keys


def test_a_uniform_load_draws_every_user_alike() -> None:
    users = make_load("uniform", 1, 10, FILLED_UNTIL_MS).chunk(20_000).users

    counts = np.bincount(users, minlength=11)[1:]
    assert counts.min() > 1800
    assert counts.max() < 2200


def test_a_spool_holds_the_load_in_its_order_each_record_in_its_partition(tmp_path: Path) -> None:
    load, same = (make_load("sessions", 1, 1000, FILLED_UNTIL_MS) for _ in range(2))
    spool = Spool(tmp_path / "spool")

    assert spool.write(load, 5000, 0.5, partitions=4) == 2500

    chunk = same.chunk(2500)
    expected = {
        partition: [
            (chunk.keys[i], chunk.values[i])
            for i in np.flatnonzero(chunk.partitions(4) == partition)
        ]
        for partition in range(4)
    }
    found: dict[int, list[tuple[bytes, bytes]]] = {partition: [] for partition in range(4)}
    ticks = list(spool.ticks())
    for tick in ticks:
        for partition, batch in tick:
            stamp(batch, 1_800_000_000_123)
            records = MemoryRecords(bytes(batch))
            unpacked = records.next_batch()
            assert unpacked.validate_crc()
            for record in unpacked:
                assert record.timestamp == 1_800_000_000_123
                found[partition].append((record.key, record.value))
    assert len(ticks) == 25
    assert found == expected
    spool.delete()
    assert list(tmp_path.iterdir()) == []
