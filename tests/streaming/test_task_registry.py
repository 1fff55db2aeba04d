"""Rebalances: the tasks that stay, those that are closed, and outdated assignments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streaming.tasks.registry import name_of
from tests.streaming.faulty import START, events
from tests.streaming.rig import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker()
    await worker.open(0, 1)
    yield worker
    await worker.stop()


async def test_tasks_of_partitions_that_stay_are_kept(worker: Worker) -> None:
    """A rebalance that takes one partition away closes only that task."""
    assert worker.registry.assign({1, 2}, 2) == [0]
    assert worker.registry.missing == {2}


async def test_a_worker_that_missed_a_generation_keeps_no_task(worker: Worker) -> None:
    """Other workers may have processed its partitions in the meantime."""
    assert worker.registry.assign({0, 1}, 3) == [0, 1]


async def test_a_worker_that_joins_for_the_first_time_has_missed_nothing() -> None:
    """The group's earlier generations did not include it."""
    worker = Worker()
    assert worker.registry.assign({0}, 41) == []


async def test_a_failed_task_is_not_kept(worker: Worker) -> None:
    """It is opened again like a new one."""
    worker.tasks[1].mark_failed()
    assert worker.registry.assign({0, 1}, 2) == [1]


async def test_what_was_known_before_a_rebalance_is_outdated_from_its_begin_on(
    worker: Worker,
) -> None:
    """A task that is being opened must not follow the former assignment."""
    registry, generation = worker.registry, worker.registry.generation
    assert not registry.is_outdated(generation)
    registry.suspend()
    assert registry.is_outdated(generation)
    registry.assign({0}, 2)
    assert registry.is_outdated(generation)
    assert not registry.is_outdated(2)


async def test_the_consumer_is_sent_once_to_where_a_task_stands(worker: Worker) -> None:
    """A second seek would fetch records again that already wait in the inbox."""
    registry = worker.registry
    assert registry.pending_seeks() == {events(0): START, events(1): START}
    assert registry.pending_seeks() == {}
    registry.seek_again([events(1)])
    assert registry.pending_seeks() == {events(1): START}


async def test_the_consumer_is_sent_again_after_a_rebalance(worker: Worker) -> None:
    """It has lost all its positions by then, including those of partitions that stay."""
    worker.registry.pending_seeks()
    await worker.rebalance(1)
    assert worker.registry.pending_seeks() == {}
    await worker.opener.resume_suspended()
    assert worker.registry.pending_seeks() == {events(1): START}


async def test_the_consumer_is_sent_again_to_a_task_in_the_place_of_another(worker: Worker) -> None:
    """The new task begins at the committed position of the former one."""
    worker.registry.pending_seeks()
    await worker.opener.reopen({1})
    assert worker.registry.pending_seeks() == {events(1): START}


@pytest.mark.parametrize(
    ("partitions", "name"), [({3}, "partition 3"), ({10, 2}, "partitions 2, 10")]
)
def test_messages_name_partitions_in_order(partitions: set[int], name: str) -> None:
    """Operators look for a number."""
    assert name_of(partitions) == name
