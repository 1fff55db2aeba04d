"""The life of a task: its state changes only along the arrows of the diagram."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from streaming.tasks.task_state import ENDED, TaskState, TaskStateError
from tests.streaming.fakes import batch
from tests.streaming.rig import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


#: The arrows of the diagram in ``streaming/tasks/task_state.py``.
ARROWS = {
    "created": {"restoring", "closed"},
    "restoring": {"running", "failed", "closed"},
    "running": {"suspended", "failed", "closed"},
    "suspended": {"running", "failed", "closed"},
    "failed": {"closed"},
    "closed": set(),
}


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker()
    await worker.open(0)
    yield worker
    await worker.stop()


@pytest.mark.parametrize(("state", "following"), list(product(TaskState, TaskState)))
def test_a_task_takes_only_the_ways_of_the_picture(state: TaskState, following: TaskState) -> None:
    """Other transitions are refused, and the message names both states."""
    if following.value in ARROWS[state.value]:
        assert state.then(following) is following
    else:
        with pytest.raises(
            TaskStateError, match=f"is {state.value} cannot become {following.value}"
        ):
            state.then(following)


def test_a_task_that_has_ended_never_runs_again() -> None:
    """No arrow leads back from failed or closed."""
    assert all(ARROWS[state.value] <= {"closed"} for state in ENDED)


async def test_only_a_running_task_has_readers_and_takes_batches(worker: Worker) -> None:
    """Answers are given only while the partition is known to belong to this worker."""
    (task,) = worker.built
    state = task.tables.states[0]
    assert worker.tasks[0].state is TaskState.RUNNING
    assert state.readable
    await task.suspend()
    assert task.state is TaskState.SUSPENDED
    assert not state.readable
    task.submit(next(iter(task.sources)), batch(7, 9))
    assert task.behind == 0
    task.start(task.positions)
    assert state.readable
    task.mark_failed()
    assert not state.readable


async def test_a_failed_task_stays_failed_through_a_rebalance(worker: Worker) -> None:
    """It must not commit what it has processed, and must not continue."""
    (task,) = worker.built
    task.mark_failed()
    await task.suspend()
    assert task.state is TaskState.FAILED
    assert not task.prepare()
    assert task.freeze() is None
    with pytest.raises(TaskStateError):
        task.start(task.positions)


async def test_a_task_fails_once(worker: Worker) -> None:
    """Only the first error is reported."""
    (task,) = worker.built
    task.fail(ValueError("first"))
    task.fail(ValueError("second"))
    await task.close()
    task.fail(ValueError("third"))
    assert [str(exc) for exc in worker.failures] == ["first"]
    assert task.state is TaskState.CLOSED


async def test_a_closed_task_commits_nothing(worker: Worker) -> None:
    """Its partition may belong to another worker by then."""
    (task,) = worker.built
    task.submit(next(iter(task.sources)), batch(7, 9))
    await task.close()
    assert not task.prepare()
    assert task.freeze() is None
    await task.close()
    assert task.state is TaskState.CLOSED
