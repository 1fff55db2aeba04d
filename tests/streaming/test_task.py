"""A task processes every offset exactly once and flushes what is committed to disk."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest

from streaming.tasks.flusher import first_pause_s
from streaming.tasks.task import RECORDS_PER_CHUNK
from tables.rocks import FULL_PACE, SLOW_PACE, RocksStore
from tests.streaming.bench import DELTAS, EVENTS, NEVER, until
from tests.streaming.fakes import batch

if TYPE_CHECKING:
    from tables.layers import Layer
    from tables.rocks import WritePace
    from tests.streaming.bench import Bench
    from tests.streaming.fakes import Counter


CHANGELOG = "events-changelog"


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Layer, WritePace]]:
    """Record each write to disk: its changes and its pace."""
    found: list[tuple[Layer, WritePace]] = []
    write = RocksStore.write

    def record(store: RocksStore, changes: Layer, *how: Any) -> int:
        found.append((changes, how[-1]))
        return write(store, changes, *how)

    monkeypatch.setattr(RocksStore, "write", record)
    return found


class TestSettling:
    async def test_the_disk_is_written_once_for_several_transactions(
        self, bench: Bench, writes: list[tuple[Layer, WritePace]]
    ) -> None:
        for start, end in ((0, 3), (3, 5), (5, 8)):
            bench.submit(batch(start, end))
            await bench.processed(end)
            await bench.commit()
        assert bench.producer.transactions == 3
        assert writes == []
        await bench.task.flush()
        assert [changes[b"1"] for changes, _ in writes] == [b"8"]
        # Each transaction writes the row and the layout record.
        assert bench.state.offset == 5

    async def test_the_disk_is_written_now_and_then_by_itself_and_keeps_nobody_waiting(
        self, bench: Bench, writes: list[tuple[Layer, WritePace]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("streaming.tasks.flusher.FLUSH_INTERVAL_S", 0.01)
        await bench.reopen()
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.commit()
        await until(lambda: bench.state.store.get(b"1") == b"3")
        assert {pace for _, pace in writes} == {SLOW_PACE}

    async def test_the_disk_is_written_only_after_the_transaction(self, bench: Bench) -> None:
        bench.producer.may_commit.clear()
        bench.submit(batch(0, 3))
        await bench.processed(3)
        committing = asyncio.create_task(bench.commit())
        await asyncio.sleep(0.01)
        assert bench.state.store.get(b"1") is None
        assert bench.state.get(b"1") == b"3"
        await bench.task.flush()
        assert bench.state.store.get(b"1") is None
        bench.producer.may_commit.set()
        await committing
        assert bench.state.store.get(b"1") is None
        assert bench.state.get(b"1") == b"3"
        await bench.task.flush()
        assert bench.state.store.get(b"1") == b"3"
        assert bench.state.offset == 1

    async def test_a_disk_that_is_full_is_reported(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError("No space left on device")

        bench.submit(batch(0, 3))
        await bench.processed(3)
        monkeypatch.setattr(RocksStore, "write", fail)
        await bench.commit()
        assert bench.failures == []
        await bench.task.flush()
        (failure,) = bench.failures
        assert "No space left" in str(failure)
        assert bench.task.failed


class TestMuchUnwritten:
    async def test_the_disk_is_written_before_its_time_and_nothing_waits_for_it(
        self, bench: Bench, writes: list[tuple[Layer, WritePace]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("streaming.tasks.flusher.EARLY_FLUSH_SHARE", 0.0)
        monkeypatch.setattr("streaming.tasks.flusher.FLUSH_INTERVAL_S", NEVER)
        await bench.reopen()
        # The flush loop has flushed once and waits.
        await asyncio.sleep(0.05)
        writes.clear()
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.commit()
        await until(lambda: bench.state.store.get(b"1") == b"3")
        assert [pace for _, pace in writes] == [FULL_PACE]

    @pytest.mark.parametrize("most", ["UNFLUSHED_BYTES", "LINKED_BYTES"])
    async def test_the_disk_is_written_with_the_commit(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, most: str
    ) -> None:
        monkeypatch.setattr(f"streaming.tasks.memory_budget.{most}", 1)
        beside = bench.state.layers.backend._replace(linked_bytes=lambda layer: 2 * len(layer))
        monkeypatch.setattr(bench.state.layers, "backend", beside)
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.commit()
        assert bench.state.store.get(b"1") == b"3"


class TestRowsInMemory:
    @pytest.mark.parametrize("bound", ["ROW_BYTES", "LINKED_BYTES"])
    @pytest.mark.parametrize("lacking", [0, 1])
    async def test_those_on_disk_as_well_are_let_go_for_want_of_room_when_a_commit_begins(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, bound: str, lacking: int
    ) -> None:
        state = bench.state
        beside = state.layers.backend._replace(linked_bytes=lambda layer: 100 * len(layer))
        monkeypatch.setattr(state.layers, "backend", beside)
        # Evict the layout record of the claim.
        state.layers.evict(0, 0)
        state.put(b"2", b"1")
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.commit()
        await bench.task.flush()
        on_disk = state.layers.row_bytes
        bench.submit(batch(3, 6))
        await bench.processed(6)
        both = state.layers.row_bytes
        assert both > on_disk > 0
        # Dirty bytes count twice: as many may be added while they are committed.
        enough = {
            "ROW_BYTES": both + state.layers.dirty_bytes,
            "LINKED_BYTES": state.layers.linked_bytes,
        }
        monkeypatch.setattr(f"streaming.tasks.memory_budget.{bound}", enough[bound] - lacking)
        await bench.commit()
        # Newer rows of the key and of the layout; the row of the other key has been evicted.
        assert state.layers.find([b"1", b"2"]).missing == ([b"2"] if lacking else [])
        assert state.layers.row_bytes == (on_disk * 2 / 3 if lacking else on_disk)


class TestBehind:
    async def test_is_what_waits_in_kafka_and_what_is_fetched_ahead(self, bench: Bench) -> None:
        assert bench.task.behind == 0
        bench.counter.may_process.clear()
        bench.submit(batch(0, 3)._replace(high_watermark=10))
        bench.submit(batch(0, 2)._replace(high_watermark=2), tp=DELTAS)
        assert bench.task.behind == 12
        bench.counter.may_process.set()
        await bench.idle()
        assert bench.task.behind == 7

    async def test_of_a_broker_that_does_not_say_is_nothing(self, bench: Bench) -> None:
        bench.submit(batch(0, 3))
        await bench.idle()
        assert bench.task.behind == 0


class TestOffsets:
    async def test_a_batch_after_a_gap_is_refused_and_asked_for_again(self, bench: Bench) -> None:
        bench.submit(batch(0, 3), batch(5, 9))
        await bench.idle()
        assert bench.gaps == [EVENTS]
        assert bench.counter.processed == [0, 1, 2]
        bench.submit(batch(3, 9))
        await bench.processed(9)
        assert bench.counter.processed == list(range(9))

    async def test_what_is_gone_is_passed_over(self, bench: Bench) -> None:
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.task.pass_over(EVENTS, 6)
        bench.submit(batch(6, 8))
        await bench.processed(5)
        await bench.commit()
        assert bench.counter.processed == [0, 1, 2, 6, 7]
        assert bench.producer.offsets == {EVENTS: 8}

    async def test_nothing_is_processed_again_when_what_to_pass_over_was_asked_before_it_came(
        self, bench: Bench
    ) -> None:
        bench.submit(batch(0, 5))
        await bench.processed(5)
        await bench.task.pass_over(EVENTS, 3)
        bench.submit(batch(3, 8))
        await bench.processed(8)
        assert bench.counter.processed == list(range(8))

    async def test_nothing_is_passed_over_in_the_middle_of_processing(self, bench: Bench) -> None:
        bench.counter.may_process.clear()
        bench.submit(batch(0, 3))
        await asyncio.sleep(0.01)
        passing = asyncio.create_task(bench.task.pass_over(EVENTS, 6))
        await asyncio.sleep(0.01)
        assert not passing.done()
        bench.counter.may_process.set()
        await passing
        assert bench.task.positions[EVENTS] == 6

    async def test_of_a_batch_that_overlaps_only_the_new_part_is_processed(
        self, bench: Bench
    ) -> None:
        bench.submit(batch(0, 5), batch(3, 8))
        await bench.processed(8)
        assert bench.counter.processed == list(range(8))

    async def test_a_batch_that_was_processed_already_is_dropped(self, bench: Bench) -> None:
        bench.submit(batch(0, 5), batch(0, 5), batch(2, 4), batch(5, 6))
        await bench.processed(6)
        assert bench.counter.processed == list(range(6))
        assert bench.gaps == []

    async def test_offsets_without_a_record_are_passed_and_committed(self, bench: Bench) -> None:
        """Transaction markers take offsets, here 3, 4 and 7."""
        bench.submit(batch(0, 5, [0, 1, 2]), batch(5, 8, [5, 6]), batch(8, 9, []))
        await bench.idle()
        assert bench.counter.processed == [0, 1, 2, 5, 6]
        assert bench.gaps == []
        await bench.commit()
        assert bench.producer.offsets == {EVENTS: 9}

    async def test_what_the_first_processor_processes_goes_before_what_waits_longer(
        self, bench: Bench
    ) -> None:
        last = cast("Counter", bench.task.sources[DELTAS])
        last.may_process.clear()
        bench.counter.may_process.clear()
        bench.submit(batch(0, 3), tp=DELTAS)
        await asyncio.sleep(0.01)
        bench.submit(batch(3, 5), tp=DELTAS)
        bench.submit(batch(0, 2), tp=EVENTS)
        last.may_process.set()
        await asyncio.sleep(0.01)
        assert last.processed == [0, 1, 2]
        bench.counter.may_process.set()
        await bench.idle()
        assert last.processed == [0, 1, 2, 3, 4]

    async def test_a_large_batch_is_committed_up_to_where_it_is_processed(
        self, bench: Bench
    ) -> None:
        size = 3 * RECORDS_PER_CHUNK
        bench.submit(batch(0, size))
        await bench.processed(RECORDS_PER_CHUNK)
        await bench.commit()
        assert bench.producer.offsets[EVENTS] == int(
            bench.producer.committed[CHANGELOG][-1][1] or 0
        )
        await bench.processed(size)
        await bench.commit()
        assert bench.producer.offsets[EVENTS] == size == int(bench.state.get(b"1") or 0)


class TestStuck:
    async def test_processing_that_does_not_end_is_noticed(self, bench: Bench) -> None:
        bench.counter.may_process.clear()
        bench.submit(batch(0, 3))
        await until(lambda: bench.task.busy_since is not None)
        assert bench.task.stall_reason(60.0) is None
        assert bench.task.stall_reason(0.0) == "partition 0 is stuck"
        bench.counter.may_process.set()
        await until(lambda: bench.task.stall_reason(0.0) is None)

    async def test_a_loop_that_has_ended_is_noticed(self, bench: Bench) -> None:
        bench.task._loops[0].cancel()
        await until(lambda: bench.task.stall_reason(60.0) == "a loop of partition 0 has ended")

    async def test_what_waits_for_its_commit_ages_until_then(self, bench: Bench) -> None:
        assert bench.task.uncommitted_seconds == 0
        bench.submit(batch(0, 3))
        await bench.processed(3)
        assert bench.task.uncommitted_seconds > 0
        await bench.commit()
        assert bench.task.uncommitted_seconds == 0


class TestEnding:
    async def test_processing_that_fails_is_reported_and_never_committed(
        self, bench: Bench
    ) -> None:
        bench.counter.error = ValueError("not a delta record")
        bench.submit(batch(0, 3))
        await bench.idle()
        await bench.commit()
        assert bench.failures == [bench.counter.error]
        assert bench.producer.transactions == 0

    async def test_closing_drops_what_is_not_committed(self, bench: Bench) -> None:
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.task.close()
        assert bench.producer.transactions == 0
        assert bench.locks[0].stopped
        assert bench.state.store.get(b"1") is None


def test_tasks_that_begin_together_do_not_flush_together() -> None:
    pauses = sorted(first_pause_s(partition, 3.0) for partition in range(8))
    assert all(0.0 <= pause < 3.0 for pause in pauses)
    assert min(b - a for a, b in pairwise(pauses)) > 0.12
