"""A task on the bench: with a real table, and stand-ins for Kafka and for the agents' work."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from faust.types import TP

from tests.streaming.fakes import OTHER_TOPIC, TOPIC, Counter, Producer

if TYPE_CHECKING:
    from streaming.task import Task

EVENTS = TP(TOPIC, 0)
DELTAS = TP(OTHER_TOPIC, 0)
NEVER = 10_000.0


async def until(is_so):
    """Look again and again until it is so."""
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)


class Bench(NamedTuple):
    """A task on the bench, and all that it touches."""

    task: Task
    producer: Producer
    counter: Counter
    failures: list[BaseException]
    gaps: list[TP]

    @property
    def state(self):
        return self.counter.state

    def submit(self, *batches, tp=EVENTS):
        for each in batches:
            self.task.submit(tp, each)

    async def folded(self, count):
        """Wait until so many records are folded."""
        await until(lambda: len(self.counter.folded) >= count)

    async def idle(self):
        """Wait until nothing is left in the inbox."""
        await until(lambda: not self.task._inbox and not self.task._folding.locked())
        await asyncio.sleep(0.01)
