"""A table's partitions on this worker: opened, read, and set aside if damaged."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import faust
import pytest

from models.windows import Slices
from tables.layout import StoreFormat
from tables.rocks import StoreLockedError
from tables.rocks_options import RocksMemory
from tables.sliced import NotHereError, SlicedTable
from tables.store import StoreContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path


#: The result of a read in these tests: key, packed value and time.
Read = tuple[int, bytes | None, int]

HOUR = 3_600_000
SLICES = Slices(24 * HOUR, HOUR)
PARTITIONS = 4


def sums(key: int, value: bytes | None, at: int) -> Read:
    """Return the arguments as the result of a read: key, packed value and requested time."""
    return key, value, at


@pytest.fixture
async def make_table(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> AsyncIterator[Callable[..., SlicedTable[Read]]]:
    tables: list[SlicedTable[Read]] = []

    def make(folder: str = "a") -> SlicedTable[Read]:
        app = faust.App(
            "test",
            datadir=tmp_path / folder,
            store="memory://",
            topic_partitions=PARTITIONS,
            autodiscover=False,
            set_as_current=False,
        )
        table = SlicedTable(
            app,
            name="users",
            layout=StoreFormat.of(1, SLICES),
            view=sums,
            parts=StoreContext(RocksMemory.create(1 << 20), executor),
            partitions=PARTITIONS,
        )
        tables.append(table)
        return table

    yield make
    for table in tables:
        await table.data.on_stop()


async def open_all(table: SlicedTable[Read]) -> None:
    for partition in range(PARTITIONS):
        state = await table.data.open(partition)
        state.reset_to_committed()
        state.readable = True


async def write(
    table: SlicedTable[Read], key: int, value: bytes, stream_time: int = HOUR, offset: int = 0
) -> None:
    state = table.state(key)
    state.dirty[b"%d" % key] = value
    state.stream_time = stream_time
    state.freeze()
    state.post_commit(offset)
    await state.flush()


async def test_a_partition_that_is_not_here_is_not_answered_for(
    make_table: Callable[..., SlicedTable[Read]],
) -> None:
    table = make_table()
    with pytest.raises(NotHereError):
        table.read(17)
    (await table.data.open(table.partition(17))).readable = False
    with pytest.raises(NotHereError):
        table.read(17)


async def test_reading_is_in_the_style_of_fausts_windows(
    make_table: Callable[..., SlicedTable[Read]],
) -> None:
    table = make_table()
    await open_all(table)
    await write(table, 17, b"packed", stream_time=5 * HOUR)
    assert table[17].current() == table[17].value() == (17, b"packed", 5 * HOUR)
    assert table[17].delta(3600) == (17, b"packed", 4 * HOUR)
    assert table[17].now()[2] > 5 * HOUR
    assert table[18].current()[1] is None
    assert 17 in table
    assert 18 not in table
    assert list(table) == [17]


async def test_a_row_that_belongs_to_a_key_is_no_key_of_its_own(
    make_table: Callable[..., SlicedTable[Read]],
) -> None:
    table = make_table()
    await open_all(table)
    await write(table, 17, b"packed", stream_time=5 * HOUR)
    table.state(17).dirty[b"17:0"] = b"sealed ids"
    assert list(table) == [17]
    assert len(table.data) == 1


async def test_only_commits_write(make_table: Callable[..., SlicedTable[Read]]) -> None:
    table = make_table()
    with pytest.raises(TypeError, match="only commits"):
        table[17] = b"x"
    with pytest.raises(TypeError, match="only commits"):
        del table[17]


async def test_a_closed_partition_keeps_what_was_committed(
    make_table: Callable[..., SlicedTable[Read]],
) -> None:
    table = make_table()
    await open_all(table)
    await write(table, 17, b"packed", offset=7)
    partition = table.partition(17)
    await table.data.close(partition)
    with pytest.raises(NotHereError):
        table.read(17)
    state = await table.data.open(partition)
    state.reset_to_committed()
    assert (state.get(b"17"), state.offset, state.stream_time) == (b"packed", 7, HOUR)


async def test_opening_twice_gives_the_same_partition(
    make_table: Callable[..., SlicedTable[Read]],
) -> None:
    table = make_table()
    assert await table.data.open(1) is await table.data.open(1)


async def test_a_partition_that_another_worker_has_open_is_refused(
    make_table: Callable[..., SlicedTable[Read]],
) -> None:
    await make_table().data.open(1)
    with pytest.raises(StoreLockedError):
        await make_table().data.open(1)


async def test_a_damaged_partition_is_set_aside_and_begins_anew(
    make_table: Callable[..., SlicedTable[Read]],
) -> None:
    table = make_table()
    await open_all(table)
    await write(table, 17, b"packed", offset=7)
    partition = table.partition(17)
    await table.data.close(partition)
    path = table.data.path(partition)
    (path / "CURRENT").write_bytes(b"\x00 damaged")

    state = await table.data.open(partition)
    state.reset_to_committed()
    assert (state.get(b"17"), state.offset, state.stream_time) == (None, None, None)
    assert path.with_name(f"{path.name}.damaged").exists()


async def test_an_opening_that_was_interrupted_can_be_repeated(
    make_table: Callable[..., SlicedTable[Read]],
) -> None:
    table = make_table()
    for _ in range(20):
        opening = asyncio.create_task(table.data.open(1))
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await table.data.open(1)
        await table.data.close(1)


async def test_closing_goes_on_when_its_caller_is_cancelled(
    make_table: Callable[..., SlicedTable[Read]],
) -> None:
    """A rebalance may end the wait while a thread is at work; the partition may come back."""
    table, may_end = make_table(), threading.Event()
    state = await table.data.open(1)
    working = asyncio.create_task(state.in_thread(may_end.wait, 10))
    await asyncio.sleep(0)
    closing = asyncio.create_task(table.data.close(1))
    await asyncio.sleep(0.05)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    opening = asyncio.create_task(table.data.open(1))
    await asyncio.sleep(0.05)
    assert not opening.done()
    may_end.set()
    again = await opening
    assert (state.is_closed, again.is_closed) == (True, False)
    await working


async def test_what_cannot_be_opened_is_told_to_who_asked_and_not_to_who_closes(
    make_table: Callable[..., SlicedTable[Read]],
) -> None:
    """As on a full disk, which stops the worker while other partitions are being opened."""
    table, other = make_table(), make_table()
    await other.data.open(0)
    opening = asyncio.create_task(table.data.open(0))
    await asyncio.sleep(0)
    await table.data.on_stop()
    with pytest.raises(StoreLockedError):
        await opening
    assert table.data.partitions == {}


async def test_a_partition_may_be_closed_while_it_is_read_beside_the_event_loop(
    make_table: Callable[..., SlicedTable[Read]],
) -> None:
    table = make_table()
    await open_all(table)
    await write(table, 17, b"packed")
    partition = table.partition(17)
    state = table.state(17)
    keys = [b"%d" % n for n in range(100_000)]
    reading = asyncio.create_task(state.load(keys))
    await asyncio.sleep(0)
    await table.data.close(partition)
    await asyncio.gather(reading, return_exceptions=True)
    await table.data.open(partition)
