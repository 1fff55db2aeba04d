"""The task manager in a rebalance: suspend, assign, resume, and open new tasks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from faust.types import TP

import settings as program_settings
from monitoring import metrics
from streaming.errors import TransactionFailedError
from streaming.kafka.topic_limits import Limits
from streaming.runtime.task_factory import TaskContext
from streaming.runtime.task_manager import TaskManager
from streaming.tasks.task_state import TaskState
from tests.streaming.bench import until
from tests.streaming.fakes import TOPIC, Counter, Producer, batch
from tests.streaming.faulty import Databases, events
from tests.streaming.rig import Context, Seeker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from aiokafka.structs import OffsetAndMetadata

    from streaming.kafka.producer import TransactionalProducer


class Brokers:
    """The consumer thread's answers for a group without committed offsets."""

    async def committed(self, _tps: object) -> dict[TP, OffsetAndMetadata]:
        return {}

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def log_ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, 100)

    async def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        return dict.fromkeys(topics, "an-id")

    def log_end(self, _tp: object) -> None:
        return None


class QuietContext(TaskContext):
    """Makes tasks whose producers and limits need no brokers."""

    def producer(self, transactional_id: str, *_: object) -> TransactionalProducer:
        return cast("TransactionalProducer", Producer(transactional_id))

    def limits(self) -> Limits:
        return Limits()


@pytest.fixture
async def manager(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TaskManager]:
    async def restore(_settings: object, _sinks: object) -> int:
        return 0

    monkeypatch.setattr("streaming.runtime.task_manager.restore", restore)
    app = Context()
    app.task_context = QuietContext(
        program_settings.load({"REELS_EVENTS_TOPIC": TOPIC}),
        {},
        {"users": cast("Any", SimpleNamespace(data=Databases()))},
        [],
        {},
        lambda _, states, outbox: [Counter(states["users"], outbox)],
    )
    consumer = SimpleNamespace(_thread=Brokers())
    manager = TaskManager(SimpleNamespace(app=app), consumer=consumer, producer=None)
    seeker = Seeker(manager.registry)
    consumer.perform_seek, consumer.seek_positions = seeker.perform_seek, seeker.seek_positions
    manager.seeker = seeker
    yield manager
    await manager.on_stop()
    metrics.keep_partitions(())


@pytest.fixture
async def two(manager: TaskManager) -> TaskManager:
    """Return a manager with two open partitions."""
    await assign(manager, 0, 1)
    await manager.open_assigned()
    return manager


async def assign(manager: TaskManager, *partitions: int, missed: int = 0) -> None:
    """Assign ``partitions`` in the next generation."""
    if manager.registry.generation is not None:
        manager.app.generation = manager.registry.generation + 1 + missed
    await manager.on_rebalance({events(number) for number in partitions}, set(), set())


async def rebalance(manager: TaskManager, *partitions: int, missed: int = 0) -> None:
    """Make the calls that Faust makes in a rebalance."""
    await manager.suspend()
    await assign(manager, *partitions, missed=missed)
    await manager.resume_open()
    await manager.open_assigned()


async def test_what_is_assigned_is_opened(two: TaskManager) -> None:
    """Tasks run, readers get answers, and the consumer knows its fetch positions."""
    assert {task.state for task in two.tasks.values()} == {TaskState.RUNNING}
    assert two.assigned == {0, 1}
    assert two.open_tps() == {events(0), events(1)}
    assert two.pending_seeks() == {events(0): 0, events(1): 0}


async def test_partitions_that_are_only_followed_are_not_opened(manager: TaskManager) -> None:
    """A standby's partition belongs to another worker; partitions of other topics do not count."""
    manager.app.standbys = {events(1)}
    await manager.on_rebalance({events(0), events(1), TP("other", 2)}, set(), set())
    assert manager.assigned == {0}


async def test_nothing_is_accepted_or_read_between_suspension_and_the_new_assignment(
    two: TaskManager,
) -> None:
    """Records processed before that are committed."""
    two.submit({events(0): batch(0, 3)})
    await until(lambda: two.tasks[0].positions[events(0)] == 3)
    await two.suspend()
    two.submit({events(0): batch(3, 5)})
    task = two.tasks[0]
    assert task.state is TaskState.SUSPENDED
    assert task.committed == {events(0): 3}
    assert not task.tables.states[0].readable
    assert two.open_tps() == set()


async def test_tasks_that_stay_go_on_as_they_are(two: TaskManager) -> None:
    """Another worker that joins or leaves interrupts them only for a moment."""
    tasks, claim = dict(two.tasks), two.tasks[0].claimed_for
    await rebalance(two, 0, 1)
    assert two.tasks == tasks
    assert two.tasks[0].accepting
    assert two.tasks[0].claimed_for == claim


async def test_a_lost_partition_is_closed_and_all_claims_are_given_up(two: TaskManager) -> None:
    """Its next owner fences the id of the claim, with which this worker no longer commits."""
    lost, kept = two.tasks[1], two.tasks[0]
    claim = kept.claimed_for
    await rebalance(two, 0)
    assert lost.state is TaskState.CLOSED
    assert two.parts.tables["users"].data.closed == [1]
    assert two.tasks == {0: kept}
    assert kept.accepting
    assert kept.claimed_for != claim


async def test_a_worker_that_missed_a_generation_begins_anew(two: TaskManager) -> None:
    """Other workers may have processed its partitions in the meantime."""
    tasks = dict(two.tasks)
    await rebalance(two, 0, 1, missed=1)
    assert {task.state for task in tasks.values()} == {TaskState.CLOSED}
    assert all(task.accepting for task in two.tasks.values())


async def test_a_batch_for_a_partition_that_is_not_open_is_dropped(two: TaskManager) -> None:
    """The partition's owner fetches it again."""
    two.submit({events(5): batch(0, 3), events(0): batch(0, 3)})
    await until(lambda: two.tasks[0].positions[events(0)] == 3)
    assert set(two.tasks) == {0, 1}


async def test_a_task_that_fails_is_opened_anew(
    two: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manager is the task's host and passes the failure to the reviver."""

    async def at_once(_: object) -> None:
        pass

    monkeypatch.setattr(two.reviver, "sleep", at_once)
    failed = two.tasks[0]
    failed.fail(TransactionFailedError("timed out"))
    await until(lambda: two.tasks.get(0) is not failed and two.open_tps() >= {events(0)})
    await until(lambda: events(0) in two.seeker.sought)


async def test_a_gap_is_fetched_again(two: TaskManager) -> None:
    """The consumer seeks to the task's position."""
    two.submit({events(0): batch(4, 6)})
    await until(lambda: two.seeker.sought == {events(0): 0})


async def test_a_worker_that_stops_closes_all_tasks_whatever_fails(
    two: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their locks are stopped: the next owner does not wait for a session to time out."""

    async def fail(_: object) -> None:
        raise OSError("Input/output error")

    tasks = list(two.tasks.values())
    monkeypatch.setattr(two.parts.tables["users"].data, "close", fail)
    await two.on_stop()
    assert {task.state for task in tasks} == {TaskState.CLOSED}
    assert two.tasks == {}
    assert two.fencing.producer is None
