"""What a worker looks at now and then: keys, counted copies, lag, how late its loop is."""

from __future__ import annotations

import logging
from contextlib import suppress
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError
from faust.types import TP
from mode import Service

from models.errors import CodecError
from monitoring import metrics
from streaming.commit.purge import PURGE_INTERVAL, Purge
from streaming.errors import PositionError
from tables.rocks import StoreCorruptError

if TYPE_CHECKING:
    from streaming.runtime.task_manager import TaskManager
    from streaming.tasks.task import Task

log = logging.getLogger(__name__)

#: Seconds between two looks at the next expired keys, and at the lag.
SWEEP_INTERVAL, LAG_INTERVAL = 1.0, 1.0

#: Seconds between two looks at how late the event loop is.
LOOP_INTERVAL = 0.25


class Housekeeping(Service):
    """Goes through the tasks of one manager, and has those give up that cannot go on."""

    def __init__(self, manager: TaskManager, **kwargs: Any) -> None:
        """Watch the tasks of ``manager`` once started."""
        super().__init__(**kwargs)
        self._manager = manager

    @Service.task
    async def _sweep(self) -> None:
        async for _ in self.itertimer(SWEEP_INTERVAL, name="sweep"):
            for task in list(self._manager.tasks.values()):
                for processor in task.processors if task.accepting else ():
                    try:
                        with suppress(StoreCorruptError):
                            await processor.sweeper.scan(SWEEP_INTERVAL)
                    except CodecError as exc:
                        task.fail(exc)
                    # Found just now, or by whoever asked for a value.
                    if (damage := processor.state.store.damage) is not None:
                        task.fail(damage)

    @Service.task
    async def _purge(self) -> None:
        parts = self._manager.parts
        purge, topic = Purge(parts.client_settings), parts.settings.repartition_topic
        async for _ in self.itertimer(PURGE_INTERVAL, name="purge"):
            tasks = [task for task in self._manager.tasks.values() if task.accepting]
            tps = [(task, TP(topic, task.partition)) for task in tasks]
            await purge.look({tp: task.committed[tp] for task, tp in tps})

    @Service.task
    async def _measure_lag(self) -> None:
        manager = self._manager
        async for _ in self.itertimer(LAG_INTERVAL, name="lag"):
            for task in list(manager.tasks.values()):
                tps = [TP(topic, task.partition) for topic in manager.parts.event_topics]
                ends = {tp: manager.consumer._thread.log_end(tp) for tp in tps}
                known = {tp: end for tp, end in ends.items() if end is not None}
                if not task.accepting or len(known) < len(tps):
                    continue
                for tp, end in known.items():
                    if end < task.positions[tp]:
                        await self._confirm_position(task, tp)
                manager.lag.measure(task, known, time())

    async def _confirm_position(self, task: Task, tp: TP) -> None:
        try:
            await self._manager.positions.check_ends({tp: task.positions[tp]})
        except PositionError as exc:
            task.fail(exc)
        except KafkaError as exc:
            log.debug("%s: the end is not known: %r", tp, exc)

    @Service.task
    async def _measure_loop(self) -> None:
        while not self.should_stop:
            begun = monotonic()
            await self.sleep(LOOP_INTERVAL)
            metrics.loop_delay_seconds.observe(max(0.0, monotonic() - begun - LOOP_INTERVAL))
