"""A task to try."""

from __future__ import annotations

import pytest

from streaming.outbox import Outbox
from streaming.task import Task
from streaming.turns import Turns
from tests.streaming.bench import DELTAS, EVENTS, NEVER, Bench
from tests.streaming.fakes import OTHER_TOPIC, Counter, Producer


@pytest.fixture
async def bench(make_state):
    outbox, producer = Outbox(), Producer()
    counter = Counter(make_state("counts"), outbox)
    other = Counter(make_state("others"), outbox, OTHER_TOPIC)
    failures, gaps = [], []
    task = Task(
        0,
        [counter, other],
        outbox,
        producer,
        on_failure=lambda _, exc: failures.append(exc),
        on_gap=lambda _, tp: gaps.append(tp),
        turns=Turns([...]),
    )
    task.start({EVENTS: 0, DELTAS: 0}, NEVER)
    yield Bench(task, producer, counter, failures, gaps)
    await task.close()
