"""A worker's commit applies to all its tasks or to none.

1. prepare  2. freeze  3. send  4. offsets  5. commit; occasionally 6. flush
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import msgspec
import pytest
from faust.types import TP

from streaming.commit import committer
from streaming.errors import TransactionFailedError
from streaming.kafka.records import OutRecord
from streaming.tasks.task import RECORDS_PER_CHUNK
from tests.streaming.bench import DELTAS, EVENTS, NEVER, until
from tests.streaming.fakes import OTHER_TOPIC, TOPIC, batch, fenced

if TYPE_CHECKING:
    from tests.streaming.bench import Bench
    from tests.streaming.fakes import Counter, Producer


CHANGELOG = "events-changelog"
OTHER_EVENTS = TP(TOPIC, 1)
SUMS = TP(OTHER_TOPIC, 1)
TAKEN_OVER = b"taken over", b"2"
STEPS = ["begin", "send", "send records", "offsets", "commit"]


class TestCommitting:
    async def test_everything_that_a_batch_causes_leaves_in_one_transaction(
        self, bench: Bench
    ) -> None:
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.commit()
        assert bench.producer.transactions == 1
        assert bench.producer.committed == {
            CHANGELOG: [(b"1", b"3")],
            "out": [(b"1", b"0"), (b"1", b"1"), (b"1", b"2")],
        }
        assert bench.producer.offsets == {EVENTS: 3}
        assert bench.producer.metadata == bench.producer.transactional_id

    async def test_what_is_processed_during_a_commit_belongs_to_the_next(
        self, bench: Bench
    ) -> None:
        bench.producer.may_commit.clear()
        bench.submit(batch(0, 3))
        await bench.processed(3)
        committing = asyncio.create_task(bench.commit())
        await asyncio.sleep(0.01)
        bench.submit(batch(3, 5))
        await bench.processed(5)
        bench.producer.may_commit.set()
        await committing
        assert bench.producer.offsets == {EVENTS: 3}
        assert bench.producer.committed[CHANGELOG] == [(b"1", b"3")]
        await bench.commit()
        assert bench.producer.offsets == {EVENTS: 5}
        assert bench.producer.committed[CHANGELOG][-1] == (b"1", b"5")

    async def test_a_commit_in_the_middle_of_processing_takes_none_of_its_chunk(
        self, bench: Bench
    ) -> None:
        bench.submit(batch(0, 3))
        await bench.processed(3)
        bench.counter.may_process.clear()
        bench.submit(batch(3, 5))
        await asyncio.sleep(0.01)
        await bench.commit()
        assert bench.producer.offsets == {EVENTS: 3}
        bench.counter.may_process.set()
        await bench.processed(5)

    async def test_both_topics_of_a_task_commit_together(self, bench: Bench) -> None:
        bench.submit(batch(0, 3))
        bench.submit(batch(0, 2), tp=DELTAS)
        await bench.idle()
        await bench.commit()
        assert bench.producer.transactions == 1
        assert bench.producer.offsets == {EVENTS: 3, DELTAS: 2}

    async def test_nothing_to_do_is_no_transaction(self, bench: Bench) -> None:
        await bench.commit()
        bench.submit(batch(0, 1))
        await bench.processed(1)
        await bench.commit()
        await bench.commit()
        assert bench.producer.transactions == 1

    async def test_time_alone_may_be_worth_a_commit(self, bench: Bench) -> None:
        bench.counter.pending = True
        await bench.commit()
        assert bench.producer.transactions == 1

    async def test_it_commits_by_itself_at_its_interval(self, bench: Bench) -> None:
        bench.committer.start(0.01)
        bench.submit(batch(0, 3))
        await until(lambda: bench.producer.offsets == {EVENTS: 3})

    async def test_an_idle_loop_commits_as_soon_as_records_are_processed(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(committer, "IDLE_INTERVAL_S", NEVER)
        bench.committer.start(0.01)
        for end in (3, 5):
            bench.submit(batch(bench.producer.offsets.get(EVENTS, 0), end))
            await until(lambda end=end: bench.producer.offsets == {EVENTS: end})
            # A commit without records makes it idle again.
            await asyncio.sleep(0.05)

    async def test_an_idle_loop_commits_what_time_alone_brings(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(committer, "IDLE_INTERVAL_S", 0.01)
        bench.committer.start(0.01)
        await asyncio.sleep(0.05)
        bench.counter.pending = True
        await until(lambda: bench.producer.transactions == 1)

    async def test_how_much_was_committed_is_told(self, bench: Bench) -> None:
        bench.submit(batch(0, 3))
        bench.submit(batch(0, 2), tp=DELTAS)
        await bench.idle()
        assert await bench.commit() == 5
        assert await bench.commit() == 0

    async def test_a_loop_that_has_ended_is_noticed(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.committer.start(0.01)
        assert not bench.committer.has_ended
        monkeypatch.setattr(bench.committer, "commit", None)
        await until(lambda: bench.committer.has_ended)


async def process_in_both(bench: Bench) -> None:
    """Process three records in the first task and two in the second."""
    bench.submit(batch(0, 3))
    bench.submit(batch(0, 2), tp=OTHER_EVENTS)
    await bench.processed(3)
    await bench.processed(2, partition=1)


def positions_in(producer: Producer, changelog: str) -> dict[str, int]:
    """Return the positions last written to the changelog, by topic."""
    positions = msgspec.json.decode(producer.layouts[changelog])["positions"]
    return {topic: offset for topic, (offset, _) in positions.items()}


class TestTablesPositions:
    async def test_are_in_the_changelog_with_the_rows_that_they_stand_for(
        self, bench: Bench
    ) -> None:
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.commit()
        assert positions_in(bench.producer, CHANGELOG) == {TOPIC: 3}
        assert bench.producer.committed[CHANGELOG] == [(b"1", b"3")]

    async def test_are_there_when_no_row_has_changed(self, bench: Bench) -> None:
        bench.submit(batch(0, 7, offsets=[]))
        await bench.idle()
        await bench.commit()
        assert positions_in(bench.producer, CHANGELOG) == {TOPIC: 7}
        assert bench.producer.committed == {CHANGELOG: []}

    async def test_are_there_from_the_claim_on(self, bench: Bench) -> None:
        lock = bench.locks[0]
        assert positions_in(lock, CHANGELOG) == {TOPIC: 0}
        assert positions_in(lock, "deltas-changelog") == {OTHER_TOPIC: 0}

    async def test_are_not_written_where_only_the_other_table_has_moved(self, bench: Bench) -> None:
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.commit()
        assert bench.producer.layouts.keys() == {CHANGELOG}

    async def test_name_the_topics_ids(self, bench: Bench) -> None:
        bench.task.tables.topic_ids = {TOPIC: "an-id"}
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.commit()
        assert msgspec.json.decode(bench.producer.layouts[CHANGELOG])["positions"] == {
            TOPIC: [3, "an-id"]
        }


class TestSeveralTasks:
    @pytest.fixture(autouse=True)
    async def _another(self, bench: Bench) -> None:
        await bench.add(1)

    async def test_commit_in_one_transaction(self, bench: Bench) -> None:
        await process_in_both(bench)
        await bench.commit()
        assert bench.producer.transactions == 1
        assert bench.producer.offsets == {EVENTS: 3, OTHER_EVENTS: 2}
        assert sorted(bench.producer.committed[CHANGELOG]) == [(b"1", b"2"), (b"1", b"3")]

    async def test_what_they_send_to_a_partition_goes_there_as_one_in_each_ones_order(
        self, bench: Bench
    ) -> None:
        await process_in_both(bench)
        await bench.commit()
        assert bench.producer.sendings["out"] == 1
        assert [value for _, value in bench.producer.committed["out"]] == [
            *(b"0", b"1", b"2"),
            *(b"0", b"1"),
        ]

    async def test_one_that_has_failed_does_not_keep_the_others_from_committing(
        self, bench: Bench
    ) -> None:
        bench.counter.error = ValueError("not a delta record")
        bench.submit(batch(0, 3))
        bench.submit(batch(0, 2), tp=OTHER_EVENTS)
        await bench.processed(2, partition=1)
        await until(lambda: bench.failures)
        await bench.commit()
        assert bench.producer.offsets == {OTHER_EVENTS: 2}
        assert bench.failures == [bench.counter.error]

    async def test_one_whose_changes_cannot_be_packed_does_not_either(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise ValueError("too much")

        monkeypatch.setattr(bench.counter, "prepare", fail)
        await process_in_both(bench)
        await bench.commit()
        assert bench.producer.offsets == {OTHER_EVENTS: 2}
        assert [str(each) for each in bench.failures] == ["too much"]

    async def test_a_transaction_that_fails_is_void_for_all(self, bench: Bench) -> None:
        bench.submit(batch(0, 3))
        await bench.processed(3)
        bench.producer.fails_at = "commit"
        await bench.commit()
        assert all(task.failed for task in bench.tasks.values())
        assert len(bench.commit_failures) == 1
        assert bench.producer.stopped

    async def test_one_that_is_not_claimed_is_not_committed(self, bench: Bench) -> None:
        bench.task.claimed_for = "reels-worker-another"
        await process_in_both(bench)
        await bench.commit()
        assert bench.producer.offsets == {OTHER_EVENTS: 2}
        (failure,) = bench.failures
        assert isinstance(failure, TransactionFailedError)


class TestSumsForEachOther:
    """Sums that partition 0 sends to partition 1 of a topic that the same worker reads."""

    @pytest.fixture(autouse=True)
    async def _sums(self, bench: Bench) -> None:
        await bench.add(1)
        cast("Counter", bench.tasks[1].sources[SUMS]).takes_over = True
        for value in (b"one", b"two"):
            bench.task.outbox.add(SUMS.topic, SUMS.partition, OutRecord(None, value))

    async def test_are_processed_in_the_same_transaction_instead_of_sent(
        self, bench: Bench
    ) -> None:
        await bench.commit()
        assert bench.producer.transactions == 1
        assert bench.producer.committed == {f"{OTHER_TOPIC}-changelog": [TAKEN_OVER]}

    async def test_are_sent_where_they_cannot_be_processed_at_once(self, bench: Bench) -> None:
        cast("Counter", bench.tasks[1].sources[SUMS]).takes_over = False
        await bench.commit()
        assert bench.producer.committed == {OTHER_TOPIC: [(None, b"one"), (None, b"two")]}

    async def test_are_sent_to_a_partition_that_cannot_commit(self, bench: Bench) -> None:
        bench.tasks[1].claimed_for = "reels-worker-another"
        await bench.commit()
        assert bench.producer.committed == {OTHER_TOPIC: [(None, b"one"), (None, b"two")]}

    async def test_are_sent_to_a_partition_that_fails_as_it_processes_them(
        self, bench: Bench
    ) -> None:
        """It commits nothing and is opened again; then it reads them from the topic."""
        cast("Counter", bench.tasks[1].sources[SUMS]).error = ValueError("cannot be processed")
        await bench.commit()
        assert bench.tasks[1].failed
        assert bench.producer.committed == {OTHER_TOPIC: [(None, b"one"), (None, b"two")]}

    @pytest.mark.parametrize("failing", [0, 1])
    async def test_count_for_nobody_when_one_of_both_fails_after_that(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, failing: int
    ) -> None:
        def freeze(*_: object) -> None:
            raise ValueError("cannot be packed")

        monkeypatch.setattr(bench.tasks[failing].tables, "freeze", freeze)
        await bench.commit()
        assert bench.producer.committed == {}
        assert all(task.failed for task in bench.tasks.values())
        (failure,) = bench.commit_failures
        assert isinstance(failure, TransactionFailedError)


class TestMuchUncommitted:
    @pytest.fixture(autouse=True, params=["UNCOMMITTED_BYTES", "OUTBOX_BYTES"])
    async def _little_memory(
        self, request: pytest.FixtureRequest, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(f"streaming.tasks.memory_budget.{request.param}", 1)
        bench.committer.start(NEVER)

    async def test_what_is_much_is_committed_before_its_time(self, bench: Bench) -> None:
        await asyncio.sleep(0.01)
        bench.submit(batch(0, RECORDS_PER_CHUNK))
        await until(lambda: bench.producer.offsets.get(EVENTS) == RECORDS_PER_CHUNK)

    async def test_processing_waits_for_the_commit_under_way(self, bench: Bench) -> None:
        bench.producer.may_commit.clear()
        bench.submit(batch(0, 4 * RECORDS_PER_CHUNK))
        await until(bench.shared_limits.committing.locked)
        await asyncio.sleep(0.05)
        assert len(bench.counter.processed) <= 2 * RECORDS_PER_CHUNK
        assert bench.task.stall_reason(0.0) is None
        bench.producer.may_commit.set()
        await until(lambda: bench.producer.offsets.get(EVENTS) == 4 * RECORDS_PER_CHUNK)
        assert bench.counter.processed == list(range(4 * RECORDS_PER_CHUNK))

    async def test_a_commit_that_fails_meanwhile_ends_processing(self, bench: Bench) -> None:
        bench.producer.fails_at = "commit"
        bench.submit(batch(0, 4 * RECORDS_PER_CHUNK))
        await until(lambda: bench.commit_failures)
        await bench.idle()
        assert len(bench.counter.processed) <= 2 * RECORDS_PER_CHUNK
        assert bench.producer.offsets == {}


class TestFailing:
    @pytest.mark.parametrize("step", STEPS)
    @pytest.mark.parametrize("fault", [TransactionFailedError("broken"), fenced()])
    async def test_a_commit_that_fails_changes_nothing(
        self, bench: Bench, step: str, fault: Exception
    ) -> None:
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.commit()
        await bench.task.flush()
        bench.producer.fails_at, bench.producer.fault = step, fault
        bench.submit(batch(3, 9))
        await bench.processed(9)
        await bench.commit()

        assert bench.commit_failures == [fault]
        assert bench.state.store.get(b"1") == b"3"
        assert bench.state.offset == 1
        assert bench.task.committed[EVENTS] == 3
        bench.task.reset_to_committed()
        assert bench.state.get(b"1") == b"3", "the overlay is void"
        assert not bench.task.outbox

    @pytest.mark.parametrize("step", STEPS)
    async def test_after_a_failure_nothing_is_taken_or_committed_any_more(
        self, bench: Bench, step: str
    ) -> None:
        bench.producer.fails_at = step
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.commit()
        bench.submit(batch(3, 9))
        await bench.idle()
        await bench.commit()
        await bench.committer.suspend()
        assert len(bench.counter.processed) == 3
        assert bench.producer.transactions == 0
        assert len(bench.commit_failures) == 1
        assert bench.failures == []
        assert bench.task.failed

    async def test_a_task_that_begins_anew_processes_again_what_was_not_committed(
        self, bench: Bench
    ) -> None:
        bench.producer.fails_at = "commit"
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.commit()
        bench.task.reset_to_committed()
        await bench.reopen()
        bench.submit(batch(0, 3))
        await bench.processed(6)
        await bench.commit()
        assert bench.producer.committed[CHANGELOG] == [(b"1", b"3")]
        assert [value for _, value in bench.producer.committed["out"]] == [b"0", b"1", b"2"]


class TestSuspending:
    async def test_what_is_processed_is_committed_and_what_waits_is_dropped(
        self, bench: Bench
    ) -> None:
        bench.counter.may_process.clear()
        bench.submit(batch(0, 3), batch(3, 6), batch(6, 9))
        await asyncio.sleep(0.01)
        suspending = asyncio.create_task(bench.committer.suspend())
        await asyncio.sleep(0.01)
        bench.counter.may_process.set()
        await suspending
        assert bench.counter.processed == [0, 1, 2]
        assert bench.producer.offsets == {EVENTS: 3}
        assert bench.state.store.get(b"1") == b"3"

    async def test_a_suspended_task_takes_nothing(self, bench: Bench) -> None:
        await bench.committer.suspend()
        bench.submit(batch(0, 3))
        await bench.idle()
        assert bench.counter.processed == []

    async def test_what_is_suspended_already_commits_no_more(self, bench: Bench) -> None:
        """When a worker stops, its databases may be closed while pending sums ask for a commit."""
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.committer.suspend()
        bench.counter.pending = True
        await bench.committer.suspend()
        assert bench.producer.transactions == 1
        assert bench.failures == []

    async def test_a_task_goes_on_where_it_stood(self, bench: Bench) -> None:
        bench.submit(batch(0, 3))
        await bench.processed(3)
        await bench.committer.suspend()
        bench.task.start(bench.task.positions)
        bench.submit(batch(0, 5))
        await bench.processed(5)
        await bench.commit()
        await bench.task.flush()
        assert bench.counter.processed == list(range(5))
        assert bench.state.store.get(b"1") == b"5"
