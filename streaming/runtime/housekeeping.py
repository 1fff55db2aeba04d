"""Periodic work: expired keys, purge of counted records, lag, delay of the event loop."""

from __future__ import annotations

import logging
from contextlib import suppress
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Protocol

from aiokafka.errors import KafkaError
from faust.types import TP
from mode import Service

from models.errors import CodecError
from monitoring import metrics
from streaming.commit.purge import PURGE_INTERVAL_S
from streaming.errors import PositionError
from tables.rocks import StoreCorruptError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from streaming.commit.purge import Purge
    from streaming.tasks.lag import LagMeter
    from streaming.tasks.task import Task

log = logging.getLogger(__name__)

#: Seconds between two scans for expired keys, and between two measurements of the lag.
SWEEP_INTERVAL_S, LAG_INTERVAL_S = 1.0, 1.0

#: Seconds between two measurements of the event loop's delay.
LOOP_INTERVAL_S = 0.25


class CheckedPositions(Protocol):
    """Checks positions against the ends of topics."""

    async def check_ends(self, positions: Mapping[TP, int], /) -> None:
        """Raise PositionError for a position beyond the end of its log."""


class Housekeeping(Service):
    """Checks the tasks of a worker periodically, and fails those that cannot continue."""

    def __init__(
        self,
        tasks: Mapping[int, Task],
        positions: CheckedPositions,
        lag: LagMeter,
        log_end: Callable[[TP], int | None],
        event_topics: Sequence[str],
        purge: Purge,
        purged_topics: Collection[str],
        **kwargs: Any,
    ) -> None:
        """Check ``tasks`` once started.

        Arguments:
            tasks: the worker's current tasks, by partition number.
            positions: compares positions with the brokers' logs.
            lag: records the lag of tasks.
            log_end: returns the end of a partition's log as of the last fetch, None before.
            event_topics: the topics whose lag is measured.
            purge: deletes counted records of ``purged_topics``.
            purged_topics: topics that only the tasks read.
            kwargs: arguments of :class:`mode.Service`.
        """
        super().__init__(**kwargs)
        self._tasks = tasks
        self._positions = positions
        self._lag = lag
        self._log_end = log_end
        self._event_topics = event_topics
        self._purge = purge
        self._purged_topics = purged_topics

    @property
    def _running(self) -> list[Task]:
        return [task for task in self._tasks.values() if task.accepting]

    @Service.task
    async def _sweep_now_and_then(self) -> None:
        async for _ in self.itertimer(SWEEP_INTERVAL_S, name="sweep"):
            await self.sweep()

    @Service.task
    async def _purge_now_and_then(self) -> None:
        async for _ in self.itertimer(PURGE_INTERVAL_S, name="purge"):
            await self.purge()

    @Service.task
    async def _measure_lag_now_and_then(self) -> None:
        async for _ in self.itertimer(LAG_INTERVAL_S, name="lag"):
            await self.measure_lag()

    async def sweep(self) -> None:
        """Look for expired keys and damaged databases."""
        for task in self._running:
            for state in task.tables.states:
                try:
                    with suppress(StoreCorruptError):
                        await state.sweeper.scan(SWEEP_INTERVAL_S)
                except CodecError as exc:
                    task.fail(exc)
                # Found by this scan, or earlier by a read.
                if (damage := state.store.damage) is not None:
                    task.fail(damage)

    async def purge(self) -> None:
        """Delete the records of purged topics that were counted long enough ago."""
        committed = {
            tp: at
            for task in self._running
            for tp, at in task.committed.items()
            if tp.topic in self._purged_topics
        }
        await self._purge.look(committed)

    async def measure_lag(self) -> None:
        """Measure the lag of each running task; fail tasks beyond the end of a topic."""
        running = self._running
        metrics.keep_lags({task.partition for task in running})
        for task in running:
            tps = [TP(topic, task.partition) for topic in self._event_topics]
            ends = {tp: end for tp in tps if (end := self._log_end(tp)) is not None}
            if not task.accepting or len(ends) < len(tps):
                continue
            for tp, end in ends.items():
                if end < task.positions[tp]:
                    await self._confirm_position(task, tp)
            self._lag.measure(task, ends, time())

    async def _confirm_position(self, task: Task, tp: TP) -> None:
        try:
            await self._positions.check_ends({tp: task.positions[tp]})
        except PositionError as exc:
            task.fail(exc)
        except KafkaError as exc:
            log.debug("%s: the end offset is unknown: %r", tp, exc)

    @Service.task
    async def _measure_loop(self) -> None:
        while not self.should_stop:
            begun = monotonic()
            await self.sleep(LOOP_INTERVAL_S)
            metrics.loop_delay_seconds.observe(max(0.0, monotonic() - begun - LOOP_INTERVAL_S))
