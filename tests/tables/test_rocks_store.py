"""A partition on disk: every write is atomic, however the process ends."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tables.rocks import (
    FULL_PACE,
    RocksStore,
    StoreCorruptError,
    StoreLockedError,
    WritePace,
)
from tables.rocks_options import RocksMemory

if TYPE_CHECKING:
    from collections.abc import Callable


ROOT = Path(__file__).resolve().parents[2]

WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from tables.rocks import RocksStore
from tables.rocks_options import RocksMemory
store = RocksStore(Path(sys.argv[1]), RocksMemory.create(1 << 20))
offset = 0
while True:
    offset += 1
    store.write({b"%d" % key: b"%d" % offset for key in range(500)}, offset)
    if offset == 20:
        print("going", flush=True)
"""


@pytest.fixture
def memory() -> RocksMemory:
    return RocksMemory.create(1 << 20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tables" / "users-0.db"


@pytest.fixture
def store(path: Path, memory: RocksMemory) -> RocksStore:
    return RocksStore(path, memory)


def test_a_new_store_is_empty_and_stands_for_no_offset(store: RocksStore) -> None:
    assert store.offset is None
    assert list(store.items()) == []


def test_keys_and_values_are_any_bytes(store: RocksStore) -> None:
    content = {b"\x00": b"", b"\xff" * 9: b"\x00" * 9, b"": b"empty"}
    store.write(content, 0)
    assert dict(store.items()) == content
    assert store.get_many([b"", b"?", b"\x00"]) == [b"empty", None, b""]


def test_the_offset_survives_closing(store: RocksStore, path: Path, memory: RocksMemory) -> None:
    store.write({b"1": b"a", b"2": b"b"}, 5)
    store.write({b"1": None}, 8)
    store.close()
    again = RocksStore(path, memory)
    assert (again.offset, dict(again.items())) == (8, {b"2": b"b"})


def test_a_store_is_whole_from_its_first_end_on(
    store: RocksStore, path: Path, memory: RocksMemory
) -> None:
    store.write({b"1": b"a"}, 5)
    assert not store.is_whole
    store.set_whole()
    store.close()
    again = RocksStore(path, memory)
    assert (again.is_whole, dict(again.items())) == (True, {b"1": b"a"})
    again.clear()
    assert not again.is_whole


def test_a_write_without_changes_moves_the_offset(
    store: RocksStore, path: Path, memory: RocksMemory
) -> None:
    store.write({}, 12)
    store.close()
    assert RocksStore(path, memory).offset == 12


@pytest.mark.parametrize("keys", [0, 9, 10, 25])
def test_a_write_in_many_parts_is_whole_and_rests_between_them(
    store: RocksStore, monkeypatch: pytest.MonkeyPatch, keys: int
) -> None:
    rests: list[float] = []
    monkeypatch.setattr("tables.rocks.time.sleep", rests.append)
    content = {b"%02d" % key: b"x" for key in range(keys)}
    store.write(content, 7, pace=WritePace(10, 0.5))
    assert (store.offset, dict(store.items())) == (7, content)
    assert rests == [0.5] * (max(0, keys - 1) // 10)


def test_a_killed_process_leaves_whole_writes_with_their_offset(
    path: Path, memory: RocksMemory
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"going\n"
        writer.kill()
    store = RocksStore(path, memory)
    assert store.offset is not None
    assert store.offset >= 20
    assert set(dict(store.items()).values()) == {b"%d" % store.offset}


def copy_if_there(source: str, target: str) -> None:
    """Copy a file, unless RocksDB has deleted it: it deletes unused files at any time."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


@pytest.fixture
def unflushed(path: Path) -> RocksStore:
    """Return a store whose writes all stay in its log; a copy could miss what a flush moves."""
    return RocksStore(path, RocksMemory.create(64 << 20))


def copy_with_the_log_cut_off(path: Path) -> Path:
    """Return a copy of an unflushed database without the end of its last write."""
    crashed = path.with_name("crashed.db")
    shutil.copytree(path, crashed, copy_function=copy_if_there)
    log = max(crashed.glob("*.log"), key=lambda each: each.stat().st_size)
    log.write_bytes(log.read_bytes()[:-200])
    return crashed


def test_a_log_that_was_cut_off_leaves_an_earlier_whole_write(
    unflushed: RocksStore, path: Path, memory: RocksMemory
) -> None:
    for offset in range(1, 4):
        unflushed.write({b"%d" % key: b"%d" % offset for key in range(100)}, offset)
    found = RocksStore(copy_with_the_log_cut_off(path), memory)
    assert found.offset == 2
    assert set(dict(found.items()).values()) == {b"2"}


def test_a_long_write_that_was_cut_off_is_mended_by_writing_it_again(
    unflushed: RocksStore, path: Path, memory: RocksMemory
) -> None:
    def values(offset: int) -> dict[bytes, bytes]:
        return {b"%d" % key: b"%d" % offset for key in range(5 * FULL_PACE.chunk)}

    unflushed.write(values(1), 1)
    unflushed.write(values(2), 2)
    found = RocksStore(copy_with_the_log_cut_off(path), memory)
    assert found.offset == 1
    assert set(dict(found.items()).values()) == {b"1", b"2"}
    found.write(values(2), 2)
    assert found.offset == 2
    assert dict(found.items()) == values(2)


def test_items_come_in_the_order_of_keys_from_any_key_on(store: RocksStore) -> None:
    store.write({b"%d" % n: b"x" for n in (3, 1, 12, 2, 20)}, 0)
    assert [key for key, _ in store.items()] == [b"1", b"12", b"2", b"20", b"3"]
    assert [key for key, _ in store.items(after=b"12")] == [b"2", b"20", b"3"]
    assert [key for key, _ in store.items(after=b"15", limit=2)] == [b"2", b"20"]


def test_a_store_in_use_is_refused_to_this_process_and_to_others(
    store: RocksStore, path: Path, memory: RocksMemory
) -> None:
    with pytest.raises(StoreLockedError):
        RocksStore(path, memory)
    other = subprocess.run(
        [sys.executable, "-c", WRITE_UNTIL_KILLED, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "StoreLockedError" in other.stderr
    store.write({b"1": b"still mine"}, 1)


def test_a_store_opened_again_uses_the_filters_and_keeps_no_blocks_in_memory(
    store: RocksStore, path: Path, memory: RocksMemory
) -> None:
    store.write({b"%d" % key: bytes(100) for key in range(0, 20_000, 2)}, 1)
    store.close()
    skipped = memory.tickers()["rocksdb.bloom.filter.useful"]
    again = RocksStore(path, memory)
    absent = [b"%d" % key for key in range(1, 20_000, 20)]
    assert not any(again.get_many(absent))
    assert memory.tickers()["rocksdb.bloom.filter.useful"] - skipped > len(absent) * 0.9
    assert all(again.get_many([b"%d" % key for key in range(0, 20_000, 20)]))
    assert memory.tickers()["rocksdb.block.cache.add"] == 0


@pytest.mark.parametrize("file", ["CURRENT", "MANIFEST-*", "*.sst"])
def test_damaged_files_are_recognised_and_can_be_set_aside(
    store: RocksStore, path: Path, memory: RocksMemory, file: str
) -> None:
    store.write({b"%d" % key: b"x" * 100 for key in range(10_000)}, 1)
    store.close()
    for damaged in path.glob(file):
        damaged.write_bytes(b"\x00 not RocksDB's" * 100)
    with pytest.raises(StoreCorruptError):
        RocksStore(path, memory)
    aside = RocksStore.set_aside(path)
    assert aside.exists()
    anew = RocksStore(path, memory)
    assert anew.offset is None


def test_a_cleared_store_is_empty_and_goes_on(store: RocksStore) -> None:
    store.write({b"1": b"a"}, 5)
    store.clear()
    assert (store.offset, list(store.items())) == (None, [])
    store.write({b"1": b"b"}, 0)
    assert store.get(b"1") == b"b"


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.get(b"5"),
        lambda store: store.get_many([b"5", b"6"]),
        lambda store: list(store.items()),
        lambda store: list(store.items(after=b"5")),
    ],
    ids=["get", "get_many", "items", "items after a key"],
)
def test_damage_found_when_reading_is_told_and_the_database_set_aside_at_its_end(
    path: Path, memory: RocksMemory, read: Callable[[RocksStore], object]
) -> None:
    """RocksDB opens a database with a damaged block, and fails when it reads that block."""
    store = RocksStore(path, memory)
    store.write({b"%d" % key: bytes(200) for key in range(2000)}, 1)
    store.close()
    store = RocksStore(path, memory)
    (file,) = path.glob("*.sst")
    content = bytearray(file.read_bytes())
    for at in range(0, len(content), 50):
        content[at] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(StoreCorruptError):
        read(store)
    store.close()
    assert not path.exists()
    assert path.with_name("users-0.db.damaged").exists()
