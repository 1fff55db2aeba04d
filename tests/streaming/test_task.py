"""A task's commit: all its steps or none, and every offset folded exactly once.

1. pack  2. freeze  3. send  4. offsets  5. commit; now and then 6. settle
"""

from __future__ import annotations

import asyncio

import pytest

from streaming.errors import FencedError, TransactionFailedError
from streaming.task import FOLD_CHUNK
from tables.rocks import RocksStore
from tests.streaming.bench import DELTAS, EVENTS, NEVER, until
from tests.streaming.fakes import batch, fenced

CHANGELOG = "events-changelog"
STEPS = ["begin", "send", "send records", "offsets", "commit"]


class TestCommitting:
    async def test_everything_that_a_batch_causes_leaves_in_one_transaction(self, bench):
        bench.submit(batch(0, 3))
        await bench.folded(3)
        await bench.task.commit()
        assert bench.producer.transactions == 1
        assert bench.producer.committed == {
            CHANGELOG: [(b"1", b"3")],
            "out": [(b"1", b"0"), (b"1", b"1"), (b"1", b"2")],
        }
        assert bench.producer.offsets == {EVENTS: 3}

    async def test_the_disk_is_written_only_after_the_transaction(self, bench):
        bench.producer.may_commit.clear()
        bench.submit(batch(0, 3))
        await bench.folded(3)
        committing = asyncio.create_task(bench.task.commit())
        await asyncio.sleep(0.01)
        assert bench.state.store.get(b"1") is None
        assert bench.state.get(b"1") == b"3"
        await bench.task.settle()
        assert bench.state.store.get(b"1") is None
        bench.producer.may_commit.set()
        await committing
        assert bench.state.store.get(b"1") is None
        assert bench.state.get(b"1") == b"3"
        await bench.task.settle()
        assert bench.state.store.get(b"1") == b"3"
        assert bench.state.offset == 0

    async def test_the_disk_is_written_once_for_several_transactions(self, bench, monkeypatch):
        writes = []
        write = RocksStore.write
        monkeypatch.setattr(
            RocksStore,
            "write",
            lambda store, changes, offset: writes.append(changes) or write(store, changes, offset),
        )
        for start, end in ((0, 3), (3, 5), (5, 8)):
            bench.submit(batch(start, end))
            await bench.folded(end)
            await bench.task.commit()
        assert bench.producer.transactions == 3
        assert writes == []
        await bench.task.settle()
        assert [changes[b"1"] for changes in writes] == [b"8"]
        assert bench.state.offset == 2

    async def test_the_disk_is_written_now_and_then_by_itself(self, bench, monkeypatch):
        monkeypatch.setattr("streaming.task.SETTLE_INTERVAL", 0.01)
        await bench.task.close()
        bench.task.start({EVENTS: 0, DELTAS: 0}, 0.01)
        bench.submit(batch(0, 3))
        await until(lambda: bench.state.store.get(b"1") == b"3")

    async def test_what_is_folded_during_a_commit_belongs_to_the_next(self, bench):
        bench.producer.may_commit.clear()
        bench.submit(batch(0, 3))
        await bench.folded(3)
        committing = asyncio.create_task(bench.task.commit())
        await asyncio.sleep(0.01)
        bench.submit(batch(3, 5))
        await bench.folded(5)
        bench.producer.may_commit.set()
        await committing
        assert bench.producer.offsets == {EVENTS: 3}
        assert bench.producer.committed[CHANGELOG] == [(b"1", b"3")]
        await bench.task.commit()
        assert bench.producer.offsets == {EVENTS: 5}
        assert bench.producer.committed[CHANGELOG][-1] == (b"1", b"5")

    async def test_a_commit_in_the_middle_of_a_fold_takes_none_of_its_chunk(self, bench):
        bench.submit(batch(0, 3))
        await bench.folded(3)
        bench.counter.may_fold.clear()
        bench.submit(batch(3, 5))
        await asyncio.sleep(0.01)
        await bench.task.commit()
        assert bench.producer.offsets == {EVENTS: 3}
        bench.counter.may_fold.set()
        await bench.folded(5)

    async def test_both_topics_of_a_task_commit_together(self, bench):
        bench.submit(batch(0, 3))
        bench.submit(batch(0, 2), tp=DELTAS)
        await bench.idle()
        await bench.task.commit()
        assert bench.producer.transactions == 1
        assert bench.producer.offsets == {EVENTS: 3, DELTAS: 2}

    async def test_nothing_to_do_is_no_transaction(self, bench):
        await bench.task.commit()
        bench.submit(batch(0, 1))
        await bench.folded(1)
        await bench.task.commit()
        await bench.task.commit()
        assert bench.producer.transactions == 1

    async def test_time_alone_may_be_worth_a_commit(self, bench):
        bench.counter.pending = True
        await bench.task.commit()
        assert bench.producer.transactions == 1

    async def test_it_commits_by_itself_at_its_interval(self, bench):
        await bench.task.close()
        bench.task.start({EVENTS: 0, DELTAS: 0}, 0.01)
        bench.submit(batch(0, 3))
        await until(lambda: bench.producer.offsets == {EVENTS: 3})


class TestMuchUncommitted:
    @pytest.fixture(autouse=True)
    def _little_memory(self, monkeypatch):
        monkeypatch.setattr("streaming.turns.UNCOMMITTED_BYTES", 1)

    async def test_what_is_much_is_committed_before_its_time(self, bench):
        await asyncio.sleep(0.01)
        bench.submit(batch(0, FOLD_CHUNK))
        await until(lambda: bench.producer.offsets.get(EVENTS) == FOLD_CHUNK)

    async def test_folding_waits_for_the_commit_under_way(self, bench):
        bench.producer.may_commit.clear()
        bench.submit(batch(0, 4 * FOLD_CHUNK))
        await until(bench.task._committing.locked)
        await asyncio.sleep(0.05)
        assert len(bench.counter.folded) <= 2 * FOLD_CHUNK
        assert bench.task.obstacle(0.0) is None
        bench.producer.may_commit.set()
        await until(lambda: bench.producer.offsets.get(EVENTS) == 4 * FOLD_CHUNK)
        assert bench.counter.folded == list(range(4 * FOLD_CHUNK))

    async def test_a_commit_that_fails_meanwhile_ends_the_fold(self, bench):
        bench.producer.fails_at = "commit"
        bench.submit(batch(0, 4 * FOLD_CHUNK))
        await until(lambda: bench.failures)
        await bench.idle()
        assert len(bench.counter.folded) <= 2 * FOLD_CHUNK
        assert bench.producer.offsets == {}


class TestMuchUnwritten:
    async def test_the_disk_is_written_with_the_commit(self, bench, monkeypatch):
        monkeypatch.setattr("streaming.turns.UNWRITTEN_BYTES", 1)
        bench.submit(batch(0, 3))
        await bench.folded(3)
        await bench.task.commit()
        assert bench.state.store.get(b"1") == b"3"


class TestBehind:
    async def test_is_what_waits_in_kafka_and_what_is_fetched_ahead(self, bench):
        assert bench.task.behind == 0
        bench.counter.may_fold.clear()
        bench.submit(batch(0, 3)._replace(high_watermark=10))
        bench.submit(batch(0, 2)._replace(high_watermark=2), tp=DELTAS)
        assert bench.task.behind == 12
        bench.counter.may_fold.set()
        await bench.idle()
        assert bench.task.behind == 7

    async def test_of_a_broker_that_does_not_say_is_nothing(self, bench):
        bench.submit(batch(0, 3))
        await bench.idle()
        assert bench.task.behind == 0


class TestFailing:
    @pytest.mark.parametrize("step", STEPS)
    @pytest.mark.parametrize("fault", [TransactionFailedError("broken"), fenced()])
    async def test_a_commit_that_fails_changes_nothing(self, bench, step, fault):
        bench.submit(batch(0, 3))
        await bench.folded(3)
        await bench.task.commit()
        await bench.task.settle()
        bench.producer.fails_at, bench.producer.fault = step, fault
        bench.submit(batch(3, 9))
        await bench.folded(9)
        await bench.task.commit()

        assert bench.failures == [fault]
        assert bench.state.store.get(b"1") == b"3"
        assert bench.state.offset == 0
        assert bench.task.committed[EVENTS] == 3
        bench.task.restored()
        assert bench.state.get(b"1") == b"3", "the overlay is void"
        assert not bench.task.outbox

    @pytest.mark.parametrize("step", STEPS)
    async def test_after_a_failure_nothing_is_taken_or_committed_any_more(self, bench, step):
        bench.producer.fails_at = step
        bench.submit(batch(0, 3))
        await bench.folded(3)
        await bench.task.commit()
        bench.producer.fails_at = None
        bench.submit(batch(3, 9))
        await bench.idle()
        await bench.task.commit()
        await bench.task.suspend()
        assert len(bench.counter.folded) == 3
        assert bench.producer.transactions == 0
        assert len(bench.failures) == 1
        assert bench.task.failed

    async def test_a_fold_that_fails_is_reported_and_never_committed(self, bench):
        bench.counter.error = ValueError("not a delta record")
        bench.submit(batch(0, 3))
        await bench.idle()
        await bench.task.commit()
        assert bench.failures == [bench.counter.error]
        assert bench.producer.transactions == 0

    async def test_a_disk_that_is_full_is_reported(self, bench, monkeypatch):
        def fail(*_):
            raise OSError("No space left on device")

        bench.submit(batch(0, 3))
        await bench.folded(3)
        monkeypatch.setattr(RocksStore, "write", fail)
        await bench.task.commit()
        assert bench.failures == []
        await bench.task.settle()
        (failure,) = bench.failures
        assert "No space left" in str(failure)
        assert bench.task.failed

    async def test_a_task_that_begins_anew_folds_again_what_was_not_committed(self, bench):
        bench.producer.fails_at = "commit"
        bench.submit(batch(0, 3))
        await bench.folded(3)
        await bench.task.commit()
        bench.producer.fails_at = None
        bench.task.restored()
        bench.task.start({EVENTS: 0, DELTAS: 0}, NEVER)
        bench.submit(batch(0, 3))
        await bench.folded(6)
        await bench.task.commit()
        assert bench.producer.committed[CHANGELOG] == [(b"1", b"3")]
        assert [value for _, value in bench.producer.committed["out"]] == [b"0", b"1", b"2"]


class TestOffsets:
    async def test_a_batch_after_a_gap_is_refused_and_asked_for_again(self, bench):
        bench.submit(batch(0, 3), batch(5, 9))
        await bench.idle()
        assert bench.gaps == [EVENTS]
        assert bench.counter.folded == [0, 1, 2]
        bench.submit(batch(3, 9))
        await bench.folded(9)
        assert bench.counter.folded == list(range(9))

    async def test_what_is_gone_is_passed_over(self, bench):
        bench.submit(batch(0, 3))
        await bench.folded(3)
        await bench.task.pass_over(EVENTS, 6)
        bench.submit(batch(6, 8))
        await bench.folded(5)
        await bench.task.commit()
        assert bench.counter.folded == [0, 1, 2, 6, 7]
        assert bench.producer.offsets == {EVENTS: 8}

    async def test_nothing_is_folded_again_when_what_to_pass_over_was_asked_before_it_came(
        self, bench
    ):
        bench.submit(batch(0, 5))
        await bench.folded(5)
        await bench.task.pass_over(EVENTS, 3)
        bench.submit(batch(3, 8))
        await bench.folded(8)
        assert bench.counter.folded == list(range(8))

    async def test_nothing_is_passed_over_in_the_middle_of_a_fold(self, bench):
        bench.counter.may_fold.clear()
        bench.submit(batch(0, 3))
        await asyncio.sleep(0.01)
        passing = asyncio.create_task(bench.task.pass_over(EVENTS, 6))
        await asyncio.sleep(0.01)
        assert not passing.done()
        bench.counter.may_fold.set()
        await passing
        assert bench.task.positions[EVENTS] == 6

    async def test_of_a_batch_that_overlaps_only_the_new_part_is_folded(self, bench):
        bench.submit(batch(0, 5), batch(3, 8))
        await bench.folded(8)
        assert bench.counter.folded == list(range(8))

    async def test_a_batch_that_was_folded_already_is_dropped(self, bench):
        bench.submit(batch(0, 5), batch(0, 5), batch(2, 4), batch(5, 6))
        await bench.folded(6)
        assert bench.counter.folded == list(range(6))
        assert bench.gaps == []

    async def test_offsets_without_a_record_are_passed_and_committed(self, bench):
        """Transaction markers take offsets: 3, 4 and 7 here."""
        bench.submit(batch(0, 5, [0, 1, 2]), batch(5, 8, [5, 6]), batch(8, 9, []))
        await bench.idle()
        assert bench.counter.folded == [0, 1, 2, 5, 6]
        assert bench.gaps == []
        await bench.task.commit()
        assert bench.producer.offsets == {EVENTS: 9}

    async def test_what_the_first_processor_folds_goes_before_what_waits_longer(self, bench):
        last = bench.task.processors[DELTAS]
        last.may_fold.clear()
        bench.counter.may_fold.clear()
        bench.submit(batch(0, 3), tp=DELTAS)
        await asyncio.sleep(0.01)
        bench.submit(batch(3, 5), tp=DELTAS)
        bench.submit(batch(0, 2), tp=EVENTS)
        last.may_fold.set()
        await asyncio.sleep(0.01)
        assert last.folded == [0, 1, 2]
        bench.counter.may_fold.set()
        await bench.idle()
        assert last.folded == [0, 1, 2, 3, 4]

    async def test_a_large_batch_is_committed_up_to_where_it_is_folded(self, bench):
        size = 3 * FOLD_CHUNK
        bench.submit(batch(0, size))
        await bench.folded(FOLD_CHUNK)
        await bench.task.commit()
        assert bench.producer.offsets[EVENTS] == int(bench.producer.committed[CHANGELOG][-1][1])
        await bench.folded(size)
        await bench.task.commit()
        assert bench.producer.offsets[EVENTS] == size == int(bench.state.get(b"1"))


class TestSuspending:
    async def test_what_is_folded_is_committed_and_what_waits_is_dropped(self, bench):
        bench.counter.may_fold.clear()
        bench.submit(batch(0, 3), batch(3, 6), batch(6, 9))
        await asyncio.sleep(0.01)
        suspending = asyncio.create_task(bench.task.suspend())
        await asyncio.sleep(0.01)
        bench.counter.may_fold.set()
        await suspending
        assert bench.counter.folded == [0, 1, 2]
        assert bench.producer.offsets == {EVENTS: 3}
        assert bench.state.store.get(b"1") == b"3"

    async def test_a_suspended_task_takes_nothing(self, bench):
        await bench.task.suspend()
        bench.submit(batch(0, 3))
        await bench.idle()
        assert bench.counter.folded == []

    async def test_what_is_suspended_already_commits_no_more(self, bench):
        """At a worker's end its databases may be closed, while time asks for one more commit."""
        bench.submit(batch(0, 3))
        await bench.folded(3)
        await bench.task.suspend()
        bench.counter.pending = True
        await bench.task.suspend()
        assert bench.producer.transactions == 1
        assert bench.failures == []

    async def test_a_task_goes_on_where_it_stood(self, bench):
        bench.submit(batch(0, 3))
        await bench.folded(3)
        await bench.task.suspend()
        bench.task.start(bench.task.positions, NEVER)
        bench.submit(batch(0, 5))
        await bench.folded(5)
        await bench.task.commit()
        await bench.task.settle()
        assert bench.counter.folded == list(range(5))
        assert bench.state.store.get(b"1") == b"5"

    async def test_closing_drops_what_is_not_committed(self, bench):
        bench.submit(batch(0, 3))
        await bench.folded(3)
        await bench.task.close()
        assert bench.producer.transactions == 0
        assert bench.producer.stopped
        assert bench.state.store.get(b"1") is None


def test_a_fenced_task_knows_why():
    assert issubclass(FencedError, TransactionFailedError)


class TestStuck:
    async def test_a_fold_that_does_not_end_is_noticed(self, bench):
        bench.counter.may_fold.clear()
        bench.submit(batch(0, 3))
        await until(lambda: bench.task.busy_since is not None)
        assert bench.task.obstacle(60.0) is None
        assert bench.task.obstacle(0.0) == "partition 0 is stuck"
        bench.counter.may_fold.set()
        await until(lambda: bench.task.obstacle(0.0) is None)

    async def test_a_loop_that_has_ended_is_noticed(self, bench):
        bench.task._loops[0].cancel()
        await until(lambda: bench.task.obstacle(60.0) == "a loop of partition 0 has ended")

    async def test_what_waits_for_its_commit_ages_until_then(self, bench):
        assert bench.task.uncommitted_seconds == 0
        bench.submit(batch(0, 3))
        await bench.folded(3)
        assert bench.task.uncommitted_seconds > 0
        await bench.task.commit()
        assert bench.task.uncommitted_seconds == 0
