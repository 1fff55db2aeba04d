"""The rows that readers of a partition see during writes and commits, and after a crash.

::

    read   dirty  ->  frozen  ->  unflushed  ->  flushed  ->  remembered  ->  RocksDB
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from models.windows import Slices
from tables.layout import LAYOUT_KEY, ForeignCopyError, LayoutError, Position, StoreFormat
from tables.rocks import RocksStore
from tables.row_layers import FLUSHED_LAYERS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from tables.state import PartitionState


HOUR = 3_600_000
KEY, OTHER = b"17", b"18"


async def commit(state: PartitionState, offset: int = 0) -> None:
    state.freeze()
    state.post_commit(offset)
    await state.flush()


class TestDirtyBytes:
    async def test_go_by_the_size_of_what_was_written_last(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.dirty[KEY] = bytes(10_000)
        await commit(state)
        assert state.layers.dirty_bytes == 0
        state.dirty.update({b"%d" % key: bytes(10_000) for key in range(100)})
        assert 1_000_000 < state.layers.dirty_bytes < 1_100_000

    async def test_are_known_before_anything_is_written(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.dirty[KEY] = b"new"
        assert state.layers.dirty_bytes > 0


class TestReading:
    async def test_a_change_is_read_at_once_before_it_is_committed(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        assert state.get(KEY) is None
        state.dirty[KEY] = b"new"
        assert state.get(KEY) == b"new"
        assert state.store.get(KEY) is None

    async def test_a_change_is_read_while_its_commit_is_under_way(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.dirty[KEY] = b"new"
        state.freeze()
        assert dict(state.dirty.items()) == {}
        assert state.get(KEY) == b"new"

    async def test_the_newest_change_hides_the_one_being_committed(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.dirty[KEY] = b"committing"
        state.freeze()
        state.dirty[KEY] = b"newer"
        assert state.get(KEY) == b"newer"
        state.post_commit(0)
        assert state.get(KEY) == b"newer"
        await state.flush()
        assert state.get(KEY) == b"newer"
        assert state.store.get(KEY) == b"committing"

    @pytest.mark.parametrize("on_disk", [False, True])
    async def test_a_committed_value_is_read_from_memory_or_disk_alike(
        self, make_state: Callable[..., PartitionState], on_disk: bool
    ) -> None:
        state = make_state()
        state.dirty[KEY] = b"new"
        await commit(state)
        if on_disk:
            state.layers.evict(0, 0)
        assert state.get(KEY) == b"new"
        assert list(await state.load([KEY, OTHER, KEY])) == [b"new", None, b"new"]

    @pytest.mark.parametrize("stage", ["dirty", "frozen", "committed", "flushed"])
    async def test_a_deleted_key_is_gone_at_once(
        self, make_state: Callable[..., PartitionState], stage: str
    ) -> None:
        state = make_state()
        state.dirty[KEY] = b"old"
        await commit(state, 0)
        state.dirty[KEY] = None
        if stage != "dirty":
            state.freeze()
        if stage in {"committed", "flushed"}:
            state.post_commit(1)
        if stage == "flushed":
            await state.flush()
        assert state.get(KEY) is None
        assert list(await state.load([KEY])) == [None]
        assert list(state.items()) == []
        assert (state.store.get(KEY) is None) is (stage == "flushed")

    async def test_items_are_those_of_memory_and_disk_each_once(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.stream_time = HOUR
        state.layers.dirty = {b"1": b"disk", b"2": b"disk", b"3": b"disk"}
        await commit(state)
        state.layers.dirty = {b"2": b"frozen", b"4": b"frozen"}
        state.freeze()
        state.layers.dirty = {b"3": None, b"4": b"dirty"}
        assert sorted(state.items()) == [(b"1", b"disk"), (b"2", b"frozen"), (b"4", b"dirty")]

    async def test_many_keys_are_read_from_disk_beside_the_event_loop(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.layers.dirty = {b"%d" % n: b"v%d" % n for n in range(1000)}
        await commit(state)
        state.layers.evict(0, 0)
        found = await state.load([b"%d" % n for n in range(1100)])
        assert list(found) == [b"v%d" % n if n < 1000 else None for n in range(1100)]


class TestCommitting:
    async def test_a_commit_takes_what_was_dirty_with_the_stream_time(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.dirty[KEY] = b"new"
        state.stream_time = 5 * HOUR
        frozen = state.freeze()
        assert frozen.keys() == {KEY, LAYOUT_KEY}
        assert msgspec.json.decode(frozen[LAYOUT_KEY] or b"")["stream_time"] == 5 * HOUR

    async def test_every_commit_carries_the_layout(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.stream_time = 5 * HOUR
        await commit(state)
        state.dirty[KEY] = b"new"
        assert state.freeze().keys() == {KEY, LAYOUT_KEY}

    async def test_stream_time_alone_is_worth_a_commit(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.stream_time = 5 * HOUR
        assert state.freeze().keys() == {LAYOUT_KEY}

    async def test_nothing_to_commit_is_nothing(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        assert dict(make_state().freeze().items()) == {}

    async def test_one_commit_at_a_time(self, make_state: Callable[..., PartitionState]) -> None:
        state = make_state()
        state.dirty[KEY] = b"new"
        state.freeze()
        state.dirty[OTHER] = b"newer"
        with pytest.raises(RuntimeError, match="still in progress"):
            state.freeze({"topic": Position(1, "")})
        assert state.positions is None
        assert dict(state.dirty.items()) == {OTHER: b"newer"}

    async def test_values_and_changelog_offset_reach_the_disk_together(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.dirty[KEY] = b"new"
        await commit(state, 41)
        assert state.offset == 41
        state.store.close()
        again = make_state()
        assert again.offset == 41
        assert again.get(KEY) == b"new"


class TestAfterACrash:
    async def test_what_was_not_committed_never_happened(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.dirty[KEY] = b"committed"
        state.stream_time = HOUR
        await commit(state)
        state.dirty[KEY] = b"under way"
        state.stream_time = 2 * HOUR
        state.freeze()
        state.dirty[KEY] = state.dirty[OTHER] = b"folded"
        state.stream_time = 3 * HOUR

        state.reset_to_committed()
        assert state.get(KEY) == b"committed"
        assert state.get(OTHER) is None
        assert state.stream_time == HOUR
        assert dict(state.freeze().items()) == {}

    async def test_the_changelog_is_taken_over_with_its_offset(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.dirty[KEY] = b"mine"
        await commit(state, 3)
        await state.apply({KEY: None, OTHER: b"theirs"}, 9)
        state.reset_to_committed()
        assert (state.get(KEY), state.get(OTHER), state.offset) == (None, b"theirs", 9)

    async def test_a_copy_that_follows_again_has_the_time_of_its_changelog(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        """An opening that was called off leaves a standby with its own time."""
        owner, copy = make_state("owner"), make_state("copy")
        copy.stream_time, copy.complete_from = HOUR, HOUR
        owner.dirty[KEY], owner.stream_time = b"newer", 72 * HOUR
        await copy.apply(dict[bytes | None, bytes | None](owner.freeze().items()), 9)
        assert copy.known_time() == 72 * HOUR
        assert copy.known_complete_from() == 0

    async def test_a_copy_from_nothing_takes_any_id_until_it_is_whole(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        """A changelog that was rewritten from a disk has records of two ids."""
        changes = []
        for name in ("first", "second"):
            table = make_state(name)
            table.stream_time = HOUR
            changes.append(dict[bytes | None, bytes | None](table.freeze().items()))
        copy = make_state("copy")
        await copy.apply(changes[0], 9)
        await copy.apply(changes[1], 19)
        await copy.caught_up()
        with pytest.raises(ForeignCopyError):
            await copy.apply(changes[0], 29)
        await copy.reset()
        await copy.apply(changes[0], 9)

    async def test_a_reset_partition_is_empty_and_stands_nowhere(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        state = make_state()
        state.dirty[KEY] = b"old"
        state.stream_time = HOUR
        await commit(state, 3)
        await state.reset()
        state.reset_to_committed()
        found: tuple[object, ...] = state.get(KEY), state.offset, state.stream_time
        assert found == (None, None, None)


class TestLayout:
    async def write(self, make_state: Callable[..., PartitionState], **kwargs: Any) -> None:
        state = make_state(**kwargs)
        state.stream_time = HOUR
        await commit(state)
        state.store.close()

    @pytest.mark.parametrize(
        "slices",
        [Slices(36 * HOUR, HOUR), Slices(24 * HOUR, HOUR // 2), Slices(24 * HOUR, 3 * HOUR // 2)],
    )
    async def test_a_table_of_another_window_or_step_is_refused_with_what_to_do(
        self, make_state: Callable[..., PartitionState], slices: Slices
    ) -> None:
        await self.write(make_state, name="users")
        with pytest.raises(
            LayoutError, match=r"table users has a window of 24h by 1h, but the settings"
        ):
            make_state("users", slices)

    async def test_the_refusal_of_another_window_says_which_ways_there_are(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        """A shorter window is taken over; for another one, the page describes the ways."""
        await self.write(make_state, name="users")
        with pytest.raises(LayoutError) as refused:
            make_state("users", Slices(36 * HOUR, HOUR))
        for way in ("Set them back", "faust -A app rebuild", "docs/how-to/change.md"):
            assert way in str(refused.value)

    async def test_a_shorter_window_is_taken_over_and_said_once_until_it_is_committed(
        self, make_state: Callable[..., PartitionState], caplog: pytest.LogCaptureFixture
    ) -> None:
        await self.write(make_state, name="users")
        caplog.set_level("INFO")
        state = make_state("users", Slices(12 * HOUR, HOUR))
        assert "table users: the window changes to 12h from 24h" in caplog.text
        assert state.stream_time == HOUR
        state.stream_time = 2 * HOUR
        await commit(state)
        caplog.clear()
        state.reset_to_committed()
        assert not caplog.text
        with pytest.raises(LayoutError, match="only a shorter window"):
            StoreFormat.of(1, Slices(24 * HOUR, HOUR)).stored_stream_time(
                "users", state.store.get(LAYOUT_KEY)
            )

    async def test_a_coarser_step_is_taken_over_with_the_panes_as_they_are(
        self, make_state: Callable[..., PartitionState], caplog: pytest.LogCaptureFixture
    ) -> None:
        """A process logs it once for all partitions; from then on the record has both steps."""
        await self.write(make_state, name="users")
        caplog.set_level("INFO")
        state = make_state("users", Slices(24 * HOUR, 2 * HOUR))
        state.reset_to_committed()
        assert caplog.text.count("the step changes to 2h from 1h") == 1
        assert (state.unit, state.known_unit()) == (HOUR, HOUR)
        await commit(state)
        for _ in range(2):
            stored = msgspec.json.decode(state.store.get(LAYOUT_KEY) or b"")
            assert (stored["step"], stored["coarser_step"]) == (HOUR, 2 * HOUR)
            state.reset_to_committed()
            assert state.stream_time is not None
            state.stream_time += HOUR
            await commit(state)
        state.store.close()
        coarser = make_state("users", Slices(24 * HOUR, 4 * HOUR))
        assert coarser.unit == HOUR
        coarser.store.close()
        with pytest.raises(LayoutError, match="table users has a window of 24h by 2h"):
            make_state("users", Slices(24 * HOUR, HOUR))

    async def test_a_release_that_knows_one_step_refuses_the_table_with_two(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        """It reads the panes' step as the table's, which must equal the step in its settings."""
        await self.write(make_state, name="users")
        state = make_state("users", Slices(24 * HOUR, 2 * HOUR))
        await commit(state)
        stored = msgspec.json.decode(state.store.get(LAYOUT_KEY) or b"")
        assert stored["step"] != 2 * HOUR

    def test_another_rule_is_said_and_taken_over(self) -> None:
        def layout(**rules: str) -> StoreFormat:
            return StoreFormat.of(1, Slices(24 * HOUR, HOUR), rules=rules)

        stored = layout(HORIZON="1h").encode(5, "id", {})
        assert layout(HORIZON="2h").changes_of(stored) == ["HORIZON changes to 2h from 1h"]
        assert not layout(HORIZON="1h").changes_of(stored)
        # A former release did not record the rule.
        assert not layout(HORIZON="2h").changes_of(layout().encode(5, "id", {}))

    async def test_a_table_of_another_version_is_refused_with_what_to_do(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        await self.write(make_state, name="users", version=2)
        with pytest.raises(LayoutError, match="version 2, but this program writes version 1"):
            make_state("users")

    async def test_a_version_that_is_read_too_is_taken_over_with_the_next_commit(
        self, make_state: Callable[..., PartitionState]
    ) -> None:
        await self.write(make_state, name="users", version=1)
        state = make_state("users", version=2, older={1})
        assert state.stream_time == HOUR
        state.stream_time = 2 * HOUR
        await commit(state)
        assert msgspec.json.decode(state.store.get(LAYOUT_KEY) or b"")["version"] == 2

    def test_another_number_of_partitions_is_refused(self) -> None:
        """Keys would be looked up in wrong partitions. Older releases did not record the number."""
        slices = Slices(24 * HOUR, HOUR)

        def layout(partitions: int) -> StoreFormat:
            return StoreFormat.of(1, slices, partitions=partitions)

        stored = layout(8).encode(5, "id", {})
        assert layout(8).stored_stream_time("users", stored) == 5
        with pytest.raises(
            LayoutError, match="built with 8 partitions, but TOPIC_PARTITIONS is 12"
        ):
            layout(12).stored_stream_time("users", stored)
        earlier = layout(0).encode(5, "id", {})
        assert layout(12).stored_stream_time("users", earlier) == 5


@pytest.fixture
def go_on(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return an event for which writes to RocksDB wait."""
    write, event = RocksStore.write, threading.Event()

    def write_then(*args: Any) -> int:
        assert event.wait(5)
        return write(*args)

    monkeypatch.setattr(RocksStore, "write", write_then)
    return event


class TestMemory:
    @pytest.fixture
    def reads(self, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        keys: list[bytes] = []
        get_many = RocksStore.get_many

        def get_and_note(store: RocksStore, wanted: Sequence[bytes]) -> list[bytes | None]:
            keys.extend(wanted)
            return get_many(store, wanted)

        monkeypatch.setattr(RocksStore, "get_many", get_and_note)
        return keys

    async def test_what_was_written_last_is_not_read_again(
        self, make_state: Callable[..., PartitionState], reads: list[bytes]
    ) -> None:
        state = make_state()
        state.layers.dirty = {KEY: b"value", OTHER: None}
        await commit(state)
        keys = [KEY, OTHER, b"19", KEY, b"19"]
        assert list(await state.load(keys)) == [b"value", None, None, b"value", None]
        assert reads == [b"19"]

    async def test_what_was_written_long_before_that_is(
        self, make_state: Callable[..., PartitionState], reads: list[bytes]
    ) -> None:
        state = make_state()
        keys = [b"%d" % n for n in range(10)]
        for offset, key in enumerate(keys):
            state.dirty[key] = b"value"
            await commit(state, offset)
        assert list(await state.load(keys)) == [b"value"] * 10
        assert sorted(reads) == keys[:-FLUSHED_LAYERS]

    async def test_a_key_has_one_committed_row_in_memory(
        self, make_state: Callable[..., PartitionState], reads: list[bytes]
    ) -> None:
        state = make_state()
        for offset in range(4):
            state.dirty[KEY] = state.dirty[b"%d" % offset] = b"%d" % offset
            await commit(state, offset)
        rows = FLUSHED_LAYERS + 1  # KEY's, and those of the last flushes
        assert sum(map(len, state.layers.all())) == rows
        state.dirty[KEY] = b"unflushed"
        state.freeze()
        state.post_commit(4)
        assert sum(map(len, state.layers.all())) == rows
        assert list(await state.load([KEY])) == [b"unflushed"]
        state.layers.evict(0, 0)
        assert list(await state.load([KEY, b"3"])) == [b"unflushed", b"3"]
        assert reads == [b"3"]

    async def test_a_row_committed_during_a_flush_takes_the_older_ones_place_after_it(
        self, make_state: Callable[..., PartitionState], go_on: threading.Event
    ) -> None:
        state = make_state()
        state.dirty[KEY] = state.dirty[OTHER] = b"old"
        state.freeze()
        state.post_commit(0)
        flushing = asyncio.create_task(state.flush())
        await asyncio.sleep(0)
        state.dirty[KEY] = b"new"
        state.freeze()
        state.post_commit(1)
        go_on.set()
        await flushing
        assert [state.store.get(key) for key in (KEY, OTHER)] == [b"old", b"old"]
        assert list(await state.load([KEY, OTHER])) == [b"new", b"old"]
        assert sum(map(len, state.layers.all())) == 2
        await state.flush()
        assert [state.store.get(key) for key in (KEY, OTHER)] == [b"new", b"old"]

    async def test_what_is_on_disk_as_well_is_let_go_the_oldest_first(
        self, make_state: Callable[..., PartitionState], reads: list[bytes]
    ) -> None:
        state = make_state()
        for offset, key in enumerate([KEY, OTHER]):
            state.dirty[key] = bytes(10_000)
            await commit(state, offset)
        state.dirty[b"19"] = bytes(10_000)
        state.freeze()
        state.dirty[b"20"] = bytes(10_000)
        assert 40_000 < state.layers.row_bytes < 42_000
        for most, on_disk in [(50_000, []), (35_000, [KEY]), (0, [KEY, OTHER])]:
            reads.clear()
            state.layers.evict(most, 0)
            assert list(await state.load([KEY, OTHER, b"19", b"20"])) == [bytes(10_000)] * 4
            assert sorted(reads) == on_disk

    async def test_what_has_much_at_hand_is_let_go_likewise(
        self, make_state: Callable[..., PartitionState], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        state = make_state()
        beside = state.layers.backend._replace(linked_bytes=lambda layer: 500 * len(layer))
        monkeypatch.setattr(state.layers, "backend", beside)
        for offset, key in enumerate([KEY, OTHER]):
            state.dirty[key] = b"value"
            await commit(state, offset)
        state.dirty[b"19"] = b"value"
        rows = state.layers.row_bytes
        for most, left in [(1500, 3), (1499, 2), (0, 1)]:
            state.layers.evict(rows, most)
            assert state.layers.linked_bytes == 500 * left
            assert state.layers.row_bytes == rows * left / 3

    async def test_what_is_on_its_way_to_the_disk_is_not_let_go(
        self, make_state: Callable[..., PartitionState], go_on: threading.Event
    ) -> None:
        state = make_state()
        state.dirty[KEY] = b"value"
        state.freeze()
        state.post_commit(0)
        flushing = asyncio.create_task(state.flush())
        await asyncio.sleep(0)
        state.layers.evict(0, 0)
        assert state.get(KEY) == b"value"
        assert state.store.get(KEY) is None
        go_on.set()
        await flushing
        state.layers.evict(0, 0)
        assert state.layers.row_bytes == 0
        assert state.get(KEY) == b"value"


class TestRemembering:
    @pytest.fixture
    async def state(self, make_state: Callable[..., PartitionState]) -> PartitionState:
        """Return a state with values on disk and none in memory."""
        state = make_state()
        state.readable = True
        state.dirty.update({b"%d" % key: bytes(10_000) for key in range(20)})
        await commit(state)
        state.layers.evict(0, 0)
        assert state.layers.find([b"0"]).missing
        return state

    @staticmethod
    def remember(state: PartitionState, *keys: bytes) -> None:
        state.remember(keys, state.store.get_many(keys))

    async def test_what_was_read_from_disk_is_found_in_memory(self, state: PartitionState) -> None:
        self.remember(state, b"1", b"99")
        assert sorted(state.layers.find([b"1", b"2", b"99"]).missing) == [b"2", b"99"]
        assert state.get(b"1") == bytes(10_000)
        assert not state.has_changed(b"1")

    async def test_a_change_counts_before_what_is_remembered(self, state: PartitionState) -> None:
        self.remember(state, b"1")
        state.dirty[b"1"] = b"new"
        assert state.get(b"1") == b"new"
        await commit(state, 1)
        state.layers.evict(0, 0)
        assert state.get(b"1") == b"new"

    async def test_what_is_remembered_is_let_go_before_what_was_written(
        self, state: PartitionState
    ) -> None:
        state.dirty[b"1"] = b"new"
        await commit(state, 1)
        self.remember(state, b"2")
        state.layers.evict(state.layers.row_bytes - 1, 0)
        assert state.layers.find([b"1", b"2"]).missing == [b"2"]

    async def test_a_write_that_leaves_memory_uncovers_nothing_older(
        self, state: PartitionState
    ) -> None:
        self.remember(state, b"1")
        for offset, key in enumerate([b"%d" % n for n in range(1, FLUSHED_LAYERS + 2)], 1):
            state.dirty[key] = b"new"
            await commit(state, offset)
        assert state.layers.find([b"1"]).missing == [b"1"]
        assert state.get(b"1") == b"new"

    async def test_it_has_a_bound(
        self, state: PartitionState, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tables.row_layers.REMEMBERED_BYTES", 55_000)
        self.remember(state, *(b"%d" % key for key in range(20)))
        assert 0 < state.layers.row_bytes <= 55_000
        assert state.get(b"19") == bytes(10_000)
        assert not state.layers.find([b"19"]).missing

    async def test_of_a_copy_nothing_is_remembered(self, state: PartitionState) -> None:
        self.remember(state, b"1")
        state.readable = False
        self.remember(state, b"2")
        await state.apply({b"1": b"of the owner"}, 5)
        assert state.get(b"1") == b"of the owner"
        assert state.layers.find([b"2"]).missing


class TestOthers:
    """Rows that other rows refer to: here, key `<key>` refers to `<key>:i`."""

    @pytest.fixture
    async def state(self, make_state: Callable[..., PartitionState]) -> PartitionState:
        state = make_state()
        for n in range(100):
            state.dirty[b"%d" % n] = b"v%d" % n
            state.dirty[b"%d:i" % n] = b"i%d" % n
        await commit(state)
        state.layers.evict(0, 0)
        return state

    @staticmethod
    def asked(values: Iterable[bytes | None]) -> list[bytes]:
        return [value.replace(b"v", b"") + b":i" for value in values if value]

    async def test_are_read_with_those_that_ask_for_them(self, state: PartitionState) -> None:
        state.dirty[b"9:i"] = b"newer"
        state.dirty[b"8"] = None
        keys = [b"%d" % n for n in range(120)]
        found, others = await state.load_with(keys, self.asked)
        assert list(found) == [b"v%d" % n if n < 100 and n != 8 else None for n in range(120)]
        assert list(others) == [b"newer" if n == 9 else b"i%d" % n for n in range(100) if n != 8]

    async def test_what_asks_for_them_may_change_while_they_are_read(
        self, state: PartitionState, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once in a commit under way, and once in a commit that is flushed in the meantime."""
        get_many = RocksStore.get_many
        changes: list[Callable[[], Coroutine[Any, Any, None]]] = []
        loop = asyncio.get_running_loop()

        def get_slowly(store: RocksStore, keys: Sequence[bytes]) -> list[bytes | None]:
            values = get_many(store, keys)
            if keys[0].endswith(b":i") and changes:
                asyncio.run_coroutine_threadsafe(changes.pop()(), loop).result()
            return values

        async def freeze() -> None:
            state.dirty[b"5"] = None
            state.dirty[b"6:i"] = b"newer"
            state.freeze()

        async def flush() -> None:
            state.post_commit(2)
            for offset in range(3, 6):
                state.dirty[b"7"] = None
                state.dirty[b"6:i"] = b"newest"
                await commit(state, offset)

        keys = [b"%d" % n for n in range(100)]
        monkeypatch.setattr(RocksStore, "get_many", get_slowly)
        for change, gone, changed in (freeze, {5}, b"newer"), (flush, {5, 7}, b"newest"):
            changes.append(change)
            found, others = await state.load_with(keys, self.asked)
            assert not changes
            assert {n for n in range(100) if found[n] is None} == gone
            assert changed in others
            assert b"i6" not in others


async def test_a_store_that_fails_to_write_leaves_the_change_readable(
    make_state: Callable[..., PartitionState], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = make_state()
    state.dirty[KEY] = b"new"
    state.freeze()
    state.post_commit(0)

    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(RocksStore, "write", fail)
    with pytest.raises(OSError, match="No space"):
        await state.flush()
    assert state.get(KEY) == b"new"


async def test_a_reader_never_sees_a_value_vanish_during_a_commit(
    make_state: Callable[..., PartitionState],
) -> None:
    state = make_state()
    state.dirty[KEY] = b"0"
    for n in range(1, 50):
        state.freeze()
        state.post_commit(n)
        flushing = asyncio.create_task(state.flush())
        while not flushing.done():
            assert state.get(KEY) == b"%d" % (n - 1)
            await asyncio.sleep(0)
        state.dirty[KEY] = b"%d" % n
