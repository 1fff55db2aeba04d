"""Exchanges of deltas between commits: each delta counts once, whatever fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from faust.types import TP

from streaming.errors import TransactionFailedError
from streaming.kafka.records import OutRecord
from streaming.tasks.outbox import Outbox
from tests.streaming.bench import EVENTS, NEVER, until
from tests.streaming.fakes import OTHER_TOPIC, batch

if TYPE_CHECKING:
    from streaming.tasks.task import Task
    from tests.streaming.bench import Bench
    from tests.streaming.fakes import Counter

SUMS = TP(OTHER_TOPIC, 1)
SUMS_CHANGELOG = f"{OTHER_TOPIC}-changelog"
KEY = b"taken over"


@pytest.fixture(autouse=True)
async def _sums(bench: Bench) -> None:
    """Put two sums into the outbox of partition 0 that partition 1 processes."""
    await bench.add(1)
    cast("Counter", bench.tasks[1].sources[SUMS]).takes_over = True
    for value in (b"one", b"two"):
        bench.task.outbox.add(SUMS.topic, SUMS.partition, OutRecord(None, value))


def exchange(bench: Bench) -> list[Task]:
    """Let the tasks of ``bench`` exchange deltas."""
    return bench.committer.exchange.prepare(bench.tasks.values())


async def begin_commit(bench: Bench) -> asyncio.Task[int]:
    """Begin a commit that ends once ``may_commit`` is set."""
    bench.producer.may_commit.clear()
    committing = asyncio.create_task(bench.commit())
    await until(bench.shared_limits.committing.locked)
    return committing


def taken_over(bench: Bench) -> bytes | None:
    return bench.tasks[1].sources[SUMS].state.get(KEY)


async def test_sums_count_before_the_commit(bench: Bench) -> None:
    bench.committer.start(NEVER)
    bench.submit(batch(0, 1))
    await until(lambda: taken_over(bench) == b"2")
    assert bench.producer.transactions == 0


async def test_sums_count_once_after_the_commit(bench: Bench) -> None:
    exchange(bench)
    await bench.commit()
    assert bench.producer.committed == {SUMS_CHANGELOG: [(KEY, b"2")]}
    await bench.commit()
    assert bench.producer.transactions == 1


async def test_a_commit_includes_all_tasks_that_have_exchanged(bench: Bench) -> None:
    """A rebalance may have suspended some of them already."""
    exchange(bench)
    await bench.committer.commit([bench.task])
    assert bench.producer.committed == {SUMS_CHANGELOG: [(KEY, b"2")]}


@pytest.mark.parametrize("failing", [0, 1])
async def test_a_task_that_fails_before_the_commit_makes_it_void_for_all(
    bench: Bench, failing: int
) -> None:
    exchange(bench)
    bench.tasks[failing].fail(ValueError("cannot be processed"))
    await bench.commit()
    assert bench.producer.committed == {}
    assert all(task.failed for task in bench.tasks.values())
    (failure,) = bench.commit_failures
    assert isinstance(failure, TransactionFailedError)


async def test_an_exchange_during_a_commit_belongs_to_the_next(bench: Bench) -> None:
    bench.task.outbox.take()
    bench.submit(batch(0, 3))
    await bench.processed(3)
    committing = await begin_commit(bench)
    bench.task.outbox.add(SUMS.topic, SUMS.partition, OutRecord(None, b"one"))
    exchange(bench)
    bench.producer.may_commit.set()
    await committing
    assert SUMS_CHANGELOG not in bench.producer.committed
    await bench.commit()
    assert bench.producer.committed[SUMS_CHANGELOG] == [(KEY, b"1")]


async def test_after_a_failed_commit_tasks_begin_anew(bench: Bench) -> None:
    committing = await begin_commit(bench)
    bench.task.outbox.add(SUMS.topic, SUMS.partition, OutRecord(None, b"three"))
    exchange(bench)
    bench.producer.fails_at = "commit"
    bench.producer.may_commit.set()
    await committing
    assert len(bench.commit_failures) == 1
    for partition, task in list(bench.tasks.items()):
        task.reset_to_committed()
        await bench.reopen(partition)
    bench.submit(batch(0, 3))
    await bench.processed(3)
    await bench.commit()
    assert len(bench.commit_failures) == 1
    assert bench.producer.offsets == {EVENTS: 3}
    assert SUMS_CHANGELOG not in bench.producer.committed


async def test_an_exchange_without_work_causes_no_commit(bench: Bench) -> None:
    bench.task.outbox.take()
    bench.submit(batch(0, 3))
    await bench.processed(3)
    committing = await begin_commit(bench)
    exchange(bench)
    bench.producer.may_commit.set()
    await committing
    await bench.commit()
    assert bench.producer.transactions == 1


async def test_a_record_for_others_makes_a_commit_urgent(bench: Bench) -> None:
    bench.committer.start(NEVER)
    bench.submit(batch(0, 1))
    await until(bench.shared_limits.urgent.is_set)


async def test_a_task_without_a_claim_exchanges_nothing(bench: Bench) -> None:
    bench.tasks[1].claimed_for = "reels-worker-another"
    bench.committer.start(NEVER)
    bench.submit(batch(0, 1))
    await until(bench.shared_limits.urgent.is_set)
    assert taken_over(bench) is None
    assert not bench.failures


def test_dead_letters_may_wait_and_deltas_may_not() -> None:
    outbox = Outbox(patient={"dead-letters"})
    outbox.add("dead-letters", 0, OutRecord(None, b"{"))
    assert not outbox.is_urgent
    outbox.add(OTHER_TOPIC, 0, OutRecord(None, b"one"))
    assert outbox.is_urgent
