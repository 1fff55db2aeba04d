"""Failed tasks are opened again if that helps; otherwise the worker stops."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import KafkaTimeoutError
from mode import Service

from models.errors import CodecError
from streaming.commit.pacing import FIRST_RETRY_S
from streaming.errors import (
    ChangelogError,
    ConfigurationError,
    FencedError,
    PositionError,
    Refusal,
    RefusedError,
    TransactionFailedError,
)
from streaming.runtime.task_reviver import REFETCH_DELAY_S, TaskReviver
from streaming.tasks.task_state import TaskState
from tables.rocks import StoreCorruptError
from tests.streaming.bench import until
from tests.streaming.fakes import batch
from tests.streaming.faulty import START, FullDisk, broken_changelog, events
from tests.streaming.rig import Context, Seeker, Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from faust.types import TP


class Rig(Worker):
    """A worker whose failed tasks are opened again without real pauses."""

    def __init__(self) -> None:
        super().__init__()
        self.context, self.seeker = Context(), Seeker(self.registry)
        self.learnt: list[Refusal] = []
        self.pauses: list[float] = []
        self.may_wake = asyncio.Event()
        self.may_wake.set()
        self.reviver: TaskReviver = TaskReviver(
            self.registry,
            self.opener,
            self.positions,
            self.seeker,
            self.context,
            self._learn,
        )
        self.reviver.sleep = self._sleep

    async def _learn(self, refusal: Refusal) -> None:
        self.learnt.append(refusal)
        self.steps.append("learn")

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self.may_wake.wait()

    async def settle(self) -> None:
        """Wait until no task is being revived."""
        await until(lambda: not self.reviver._futures)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    await rig.open(0, 1)
    rig.registry.pending_seeks()
    yield rig
    await rig.reviver.stop()
    await rig.stop()


class TestOpeningAnew:
    async def test_a_task_whose_transaction_failed_is_opened_anew_and_fetched_again(
        self, rig: Rig
    ) -> None:
        """Readers get answers again, and the consumer seeks to the committed position."""
        former = rig.tasks[0]
        former.fail(TransactionFailedError("timed out"))
        await rig.settle()
        assert former.state is TaskState.CLOSED
        assert rig.tasks[0].accepting
        assert rig.tasks[1].accepting
        assert rig.seeker.sought == {events(0): START}
        assert rig.context.reasons == []
        assert rig.pauses == [FIRST_RETRY_S]

    async def test_a_failed_commit_opens_all_tasks_anew_at_once(self, rig: Rig) -> None:
        """None of the tasks has committed its part of the transaction."""
        former = list(rig.tasks.values())
        rig.producers[-1].fails_at = "send"
        rig.tasks[0].submit(events(0), batch(START, START + 2))
        await until(lambda: rig.tasks[0].positions[events(0)] == START + 2)
        await rig.committer.commit(former)
        assert all(task.failed for task in former)
        rig.steps.clear()
        await rig.settle()
        assert [step for step in rig.steps if "restore" in step] == ["restore 0, 1"]
        assert all(task.accepting for task in rig.tasks.values())
        assert rig.seeker.sought == {events(0): START, events(1): START}

    async def test_a_damaged_database_is_built_anew(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The other task continues."""
        rig.tasks[0].fail(StoreCorruptError("table-0.db is damaged"))
        await rig.settle()
        assert rig.tasks[0].accepting
        assert rig.databases.closed == [0]
        assert "partition 0: the copy on disk is set aside and rebuilt" in caplog.text

    async def test_whoever_was_fenced_hears_from_the_group_first(self, rig: Rig) -> None:
        """The partition may belong to another worker, which a new lock would stop."""
        rig.tasks[0].fail(FencedError("reels-0"))
        await rig.settle()
        assert rig.pauses == [rig.context.session_timeout]

    async def test_what_cannot_be_opened_is_tried_again_after_longer_and_longer(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A broker that is away for a minute does not get a hundred requests."""
        attempts = []

        async def fail_twice(_sinks: object) -> None:
            attempts.append(1)
            if len(attempts) < 3:
                raise TransactionFailedError("not yet")

        rig.restore = fail_twice
        rig.tasks[0].fail(TransactionFailedError("timed out"))
        await rig.settle()
        assert rig.pauses == [FIRST_RETRY_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S]
        assert rig.tasks[0].accepting
        assert "partition 0 cannot be opened: TransactionFailedError('not yet')" in caplog.text

    async def test_a_seek_that_fails_is_tried_again_and_the_task_stays_open(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A worker outlasts brokers that are away at any moment."""
        faults: list[Exception] = [KafkaTimeoutError()]
        perform_seek = rig.seeker.perform_seek

        async def away() -> None:
            if faults:
                raise faults.pop()
            await perform_seek()

        monkeypatch.setattr(rig.seeker, "perform_seek", away)
        rig.tasks[0].fail(TransactionFailedError("timed out"))
        await until(lambda: rig.tasks[0].accepting)
        opened = rig.tasks[0]
        await rig.settle()
        assert rig.tasks[0] is opened
        assert rig.seeker.sought == {events(0): START}

    async def test_a_task_that_fails_as_soon_as_it_is_open_is_opened_once_more(
        self, rig: Rig
    ) -> None:
        """The new task is not the one that failed before."""
        faults = [TransactionFailedError("again")]

        async def fail_once(_positions: object) -> None:
            if faults:
                rig.tasks[0].fail(faults.pop())
            await asyncio.sleep(0)

        rig.seeker.seek_positions = fail_once  # type: ignore[assignment,method-assign]
        rig.tasks[0].fail(TransactionFailedError("timed out"))
        await rig.settle()
        assert len(rig.built) == 4
        assert rig.tasks[0].accepting

    async def test_what_a_topic_refuses_is_learnt_before_the_task_is_opened(self, rig: Rig) -> None:
        """The same record would be refused again."""
        refusal = Refusal("out", 0, "a record", 9, 9, has_no_key=False, reason=ValueError())
        rig.steps.clear()
        rig.tasks[0].fail(RefusedError(refusal))
        await rig.settle()
        assert rig.learnt == [refusal]
        assert rig.steps[0] == "learn"
        assert rig.tasks[0].accepting


class TestRebalances:
    async def test_a_partition_that_was_taken_away_meanwhile_is_not_opened(self, rig: Rig) -> None:
        """The group has assigned it to another worker."""
        rig.may_wake.clear()
        rig.tasks[0].fail(TransactionFailedError("timed out"))
        await rig.rebalance(1)
        rig.may_wake.set()
        await rig.settle()
        assert set(rig.tasks) == {1}
        assert len(rig.built) == 2

    async def test_a_task_that_fails_while_it_is_closed_is_not_opened(self, rig: Rig) -> None:
        """Its partition belongs to another worker, which a new lock would stop."""
        task = rig.tasks[0]
        await rig.rebalance(1)
        task.fail(TransactionFailedError("timed out"))
        await rig.settle()
        assert rig.pauses == []
        assert set(rig.tasks) == {1}

    async def test_a_partition_that_recovery_has_opened_meanwhile_is_left_alone(
        self, rig: Rig
    ) -> None:
        """Its current task has not failed."""
        rig.may_wake.clear()
        rig.tasks[0].fail(TransactionFailedError("timed out"))
        await asyncio.sleep(0)
        await rig.opener.reopen({0})
        rig.may_wake.set()
        await rig.settle()
        assert len(rig.built) == 3

    async def test_nothing_is_opened_once_the_worker_stops(self, rig: Rig) -> None:
        """Pending attempts are cancelled."""
        rig.may_wake.clear()
        rig.tasks[0].fail(TransactionFailedError("timed out"))
        await asyncio.sleep(0)
        await Service.stop(rig.reviver)
        assert len(rig.built) == 2


class TestGivingUp:
    async def test_a_disk_that_is_full_ends_the_worker(self, rig: Rig) -> None:
        """A task that is opened again would only fill the disk again."""
        rig.databases.store = FullDisk
        await rig.open(0, 1, 2, generation=2)
        await rig.tasks[2].flush()
        assert [str(reason) for reason in rig.context.reasons] == ["No space left on device"]
        assert rig.tasks[2].failed

    @pytest.mark.parametrize(
        "reason", [OSError("No space left on device"), CodecError("no value"), KeyError("a fault")]
    )
    async def test_what_would_only_happen_again_ends_the_worker(
        self, rig: Rig, reason: Exception
    ) -> None:
        """A full disk, an unreadable value, or a fault of the program."""
        rig.tasks[0].fail(reason)
        await rig.settle()
        assert rig.context.reasons == [reason]
        assert rig.tasks[0].failed

    async def test_a_value_that_cannot_be_read_is_said_without_a_traceback(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The code that reports it is not at fault; any other error has its traceback."""
        rig.tasks[0].fail(CodecError("no value"))
        rig.tasks[1].fail(KeyError("a fault"))
        assert [record.exc_info is None for record in caplog.records] == [True, False]

    async def test_what_an_operator_has_to_change_ends_the_worker_with_that_line_alone(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A missing right is no error of the worker."""
        reason = ConfigurationError("the right to WRITE is missing")
        with caplog.at_level(logging.INFO):
            rig.tasks[0].fail(reason)
        assert rig.context.reasons == [reason]
        assert caplog.messages == []

    @pytest.mark.parametrize("kind", [ChangelogError, PositionError, ConfigurationError])
    async def test_what_opening_anew_does_not_change_ends_the_worker(
        self, rig: Rig, kind: type[Exception]
    ) -> None:
        """The first attempt shows it; there is no second one."""

        async def refuse(_sinks: object) -> None:
            raise kind("nobody can say")

        rig.restore = refuse
        rig.tasks[0].fail(TransactionFailedError("timed out"))
        await rig.settle()
        assert [type(reason) for reason in rig.context.reasons] == [kind]
        assert len(rig.pauses) == 1

    async def test_a_changelog_that_is_not_the_tables_own_keeps_the_partition_closed(
        self, rig: Rig
    ) -> None:
        """Answers from it would be wrong."""
        rig.restore = broken_changelog
        rig.tasks[0].fail(TransactionFailedError("timed out"))
        await rig.settle()
        assert set(rig.tasks) == {1}


class TestGaps:
    async def test_what_does_not_follow_is_fetched_again_once(self, rig: Rig) -> None:
        """Several batches may show the same gap."""
        task = rig.tasks[0]
        rig.reviver.refetch(task, events(0))
        rig.reviver.refetch(task, events(0))
        await rig.settle()
        assert rig.pauses == [REFETCH_DELAY_S]
        assert rig.seeker.sought == {events(0): START}

    async def test_what_was_deleted_before_it_was_read_is_passed_over(self, rig: Rig) -> None:
        """These records will never come."""
        rig.positions.begins = 50
        rig.reviver.refetch(rig.tasks[0], events(0))
        await rig.settle()
        assert rig.tasks[0].positions == {events(0): 50}
        assert rig.seeker.sought == {events(0): 50}

    async def test_a_task_that_is_suspended_meanwhile_is_not_fetched_for(self, rig: Rig) -> None:
        """The rebalance ends with a seek of its own."""
        rig.may_wake.clear()
        rig.reviver.refetch(rig.tasks[0], events(0))
        await rig.rebalance(0, 1)
        rig.may_wake.set()
        await rig.settle()
        assert rig.seeker.sought == {}

    async def test_brokers_that_are_away_are_asked_again(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The partition may be quiet: no other batch would show the gap."""
        faults: list[Exception] = [KafkaTimeoutError(), OSError("unreachable")]
        first_kept = rig.positions.first_kept

        async def away(tp: TP, at: int) -> int:
            if faults:
                raise faults.pop()
            return await first_kept(tp, at)

        monkeypatch.setattr(rig.positions, "first_kept", away)
        rig.reviver.refetch(rig.tasks[0], events(0))
        await rig.settle()
        assert rig.pauses == [REFETCH_DELAY_S, 2 * REFETCH_DELAY_S, 4 * REFETCH_DELAY_S]
        assert rig.seeker.sought == {events(0): START}
        assert rig.context.reasons == []

    async def test_the_next_gap_is_fetched_again_as_well(self, rig: Rig) -> None:
        """The first gap is forgotten once it is closed."""
        for _ in range(2):
            rig.reviver.refetch(rig.tasks[0], events(0))
            await rig.settle()
        assert len(rig.pauses) == 2
