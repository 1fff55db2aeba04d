"""Opening tasks: lock, fence, restore, find positions, claim; any failure leaves none open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from streaming.errors import ChangelogError, FencedError, TransactionFailedError
from streaming.tasks.task_state import TaskState
from tables.layout import Position
from tables.rocks import StoreCorruptError
from tests.streaming.bench import until
from tests.streaming.fakes import CHANGELOG, TOPIC, batch
from tests.streaming.faulty import (
    START,
    TOPIC_ID,
    FencedLock,
    HangingLock,
    LostLock,
    SilentBroker,
    broken_changelog,
    events,
)
from tests.streaming.rig import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streaming.commit.fencing import Claim
    from tests.streaming.fakes import Producer


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker()
    yield worker
    await worker.stop()


def assert_nothing_is_open(worker: Worker) -> None:
    assert worker.tasks == {}
    assert {task.state for task in worker.built} == {TaskState.CLOSED}
    assert all(cast("Producer", task.lock).stopped for task in worker.built)
    assert not any(state.readable for state in worker.databases.partitions.values())


class TestOpening:
    async def test_a_partition_is_locked_and_fenced_before_it_is_restored_and_then_claimed(
        self, worker: Worker
    ) -> None:
        """By then the changelog is complete, and no other worker writes to it."""
        worker.positions.named = {events(0): "reels-worker-2-former"}
        await worker.open(0)
        former = "start worker-2-former"
        own = f"start {worker.producers[-1].transactional_id.removeprefix('reels-')}"
        assert worker.steps == [
            *("limits", "lock 0", "settle 0", former),
            *("restore 0", own, "claim 0"),
        ]

    async def test_tasks_begin_where_their_tables_stand(self, worker: Worker) -> None:
        """The claim writes these positions, with the topics' ids, to the changelogs."""
        await worker.open(0, 1)
        assert {number: task.positions for number, task in worker.tasks.items()} == {
            0: {events(0): START},
            1: {events(1): START},
        }
        assert {task.state for task in worker.tasks.values()} == {TaskState.RUNNING}
        state = worker.databases.partitions[0]
        assert state.positions == {TOPIC: Position(START, TOPIC_ID)}
        assert state.readable

    async def test_all_partitions_are_restored_at_once(self, worker: Worker) -> None:
        """One consumer reads all changelogs side by side."""
        await worker.open(0, 1, 2)
        assert [step for step in worker.steps if "restore" in step] == ["restore 0, 1, 2"]

    async def test_what_is_open_already_is_left_alone(self, worker: Worker) -> None:
        """A worker that gets another partition opens only that one."""
        await worker.open(0)
        worker.steps.clear()
        await worker.open(0, 1, generation=2)
        assert "lock 0" not in worker.steps
        assert len(worker.built) == 2

    async def test_nothing_to_open_asks_nobody(self, worker: Worker) -> None:
        """A worker without partitions waits for no broker."""
        await worker.open()
        assert worker.steps == []


class TestFaults:
    @pytest.mark.parametrize("lock", [FencedLock, LostLock])
    async def test_a_partition_that_another_worker_locks_meanwhile_is_not_opened(
        self, worker: Worker, lock: type[Producer]
    ) -> None:
        """The last worker to lock a partition owns it, before the restore and after it."""
        worker.lock[1] = lock
        with pytest.raises(FencedError):
            await worker.open(0, 1)
        assert_nothing_is_open(worker)

    async def test_a_changelog_that_is_not_the_tables_own_opens_nothing(
        self, worker: Worker
    ) -> None:
        """Rows restored before that stay on disk for the next attempt."""
        worker.restore = broken_changelog
        with pytest.raises(ChangelogError):
            await worker.open(0)
        assert_nothing_is_open(worker)
        assert worker.databases.closed == []

    async def test_a_damaged_database_is_closed_to_be_built_anew(self, worker: Worker) -> None:
        """The next attempt starts with an empty database; the other one is unchanged."""

        async def find_damage(_sinks: object) -> None:
            state = worker.databases.partitions[1]
            state.store.damage = StoreCorruptError("table-1.db is damaged")
            raise state.store.damage

        worker.restore = find_damage
        with pytest.raises(StoreCorruptError):
            await worker.open(0, 1)
        assert_nothing_is_open(worker)
        assert worker.databases.closed == [1]

    async def test_a_broker_that_never_answers_leaves_nothing_open_when_nobody_waits_any_more(
        self,
    ) -> None:
        """A rebalance cancels the opening and releases the locks."""
        worker = Worker(SilentBroker())
        opening = asyncio.create_task(worker.open(0))
        await until(lambda: "lock 0" in worker.steps)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert_nothing_is_open(worker)

    async def test_a_rebalance_during_a_restore_has_nothing_claimed(self, worker: Worker) -> None:
        """In the next generation, the partition may belong to another worker."""

        async def rebalance(_sinks: object) -> None:
            worker.registry.suspend()

        worker.restore = rebalance
        await worker.open(0)
        assert "claim 0" not in worker.steps
        assert_nothing_is_open(worker)

    async def test_a_claim_that_is_given_up_meanwhile_opens_nothing(self, worker: Worker) -> None:
        """A failed commit gives up all claims, including those of tasks that are being opened."""
        worker.lock[1] = HangingLock
        opening = asyncio.create_task(worker.open(0, 1))
        await until(lambda: {"claim 0", "claim 1"} <= set(worker.steps))
        await worker.fencing.retire()
        cast("Producer", worker.built[1].lock).may_commit.set()
        with pytest.raises(TransactionFailedError):
            await opening
        assert_nothing_is_open(worker)

    async def test_a_commit_that_fails_after_the_last_claim_opens_nothing(
        self, worker: Worker
    ) -> None:
        """All claims are void then, but the next commit would be the first to notice."""
        claim, claims = worker.fencing.claim, []

        async def claim_and_retire(*args: Any) -> Claim:
            claims.append(await claim(*args))
            if len(claims) == 2:
                await worker.fencing.retire()
            return claims[-1]

        worker.fencing.claim = claim_and_retire  # type: ignore[assignment,method-assign]
        with pytest.raises(
            TransactionFailedError, match="claims of the partitions were lost meanwhile"
        ):
            await worker.open(0, 1)
        assert_nothing_is_open(worker)

    async def test_what_could_not_be_opened_is_opened_by_the_next_attempt(
        self, worker: Worker
    ) -> None:
        """A failed attempt leaves nothing behind that prevents the next one."""
        worker.restore = broken_changelog
        with pytest.raises(ChangelogError):
            await worker.open(0)
        worker.restore = worker._apply_nothing
        await worker.opener.open_assigned()
        assert worker.tasks[0].accepting


class TestGoingOn:
    async def test_a_task_whose_claim_holds_goes_on_without_another(self, worker: Worker) -> None:
        """A rebalance that takes no partition away costs no transaction."""
        await worker.open(0)
        await worker.rebalance(0)
        worker.steps.clear()
        await worker.opener.resume_suspended()
        assert worker.tasks[0].accepting
        assert worker.steps == []

    async def test_a_task_whose_claim_was_given_up_is_claimed_again(self, worker: Worker) -> None:
        """The former id is fenced first, so a later fencing of it affects nobody."""
        await worker.open(0)
        await worker.rebalance(0)
        await worker.fencing.retire()
        former = worker.tasks[0].claimed_for
        assert former is not None
        worker.steps.clear()
        await worker.opener.resume_suspended()
        assert worker.steps[0] == f"start {former.removeprefix('reels-')}"
        assert worker.steps[-1] == "claim 0"
        assert worker.tasks[0].accepting
        assert worker.tasks[0].claimed_for != former

    async def test_a_claim_that_fails_keeps_only_its_own_task_back(self, worker: Worker) -> None:
        """The other tasks answer and continue."""
        await worker.open(0, 1)
        await worker.rebalance(0, 1)
        await worker.fencing.retire()
        cast("Producer", worker.tasks[1].lock).fails_at = "begin"
        await worker.opener.resume_suspended()
        assert worker.tasks[0].accepting
        assert worker.tasks[1].failed
        assert len(worker.failures) == 1

    async def test_nothing_goes_on_when_another_rebalance_has_begun(self, worker: Worker) -> None:
        """The next assignment decides again which tasks stay."""
        await worker.open(0)
        await worker.rebalance(0)
        worker.registry.suspend()
        await worker.opener.resume_suspended()
        assert worker.tasks[0].state is TaskState.SUSPENDED

    async def test_what_was_processed_before_a_rebalance_is_committed_and_not_processed_again(
        self, worker: Worker
    ) -> None:
        """The task continues after it."""
        await worker.open(0)
        worker.tasks[0].submit(events(0), batch(START, START + 3))
        await until(lambda: worker.tasks[0].positions[events(0)] == START + 3)
        await worker.rebalance(0)
        await worker.opener.resume_suspended()
        assert worker.registry.pending_seeks() == {events(0): START + 3}
        changelog = worker.producers[-1].committed[f"{TOPIC}-{CHANGELOG}"]
        assert changelog == [(b"1", b"3")]


class TestClosing:
    async def test_another_task_takes_the_place_of_one_that_is_reopened(
        self, worker: Worker
    ) -> None:
        """The former task is closed with its databases, which may be the cause of the failure."""
        await worker.open(0)
        former = worker.tasks[0]
        await worker.opener.reopen({0})
        assert former.state is TaskState.CLOSED
        assert worker.tasks[0] is not former
        assert worker.tasks[0].accepting
        assert worker.databases.closed == [0]

    async def test_closing_what_is_not_open_closes_nothing(self, worker: Worker) -> None:
        """A standby's database stays open."""
        await worker.databases.open(5)
        await worker.opener.close(5)
        assert worker.databases.closed == []
