"""Handling of failed tasks, and of gaps between tasks' positions and batches."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiokafka.errors import KafkaError
from mode import Service

from models.errors import CodecError
from streaming.commit.pacing import MAX_RETRY_S, Retries
from streaming.errors import (
    ChangelogError,
    ConfigurationError,
    FencedError,
    PositionError,
    RefusedError,
    TransactionFailedError,
)
from streaming.tasks.registry import name_of
from tables.rocks import StoreCorruptError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from faust.types import TP

    from streaming.errors import Refusal
    from streaming.ports import SeekingConsumer, WorkerContext
    from streaming.tasks.registry import TaskRegistry
    from streaming.tasks.task import Task

log = logging.getLogger(__name__)

#: Errors that opening a task again does not resolve.
FOR_GOOD: Final = (ChangelogError, ConfigurationError, PositionError)

#: Errors that it resolves: a failed transaction, and a damaged database. Others (a full disk, a
#: fault in this program) would only happen again.
CURABLE: Final = (TransactionFailedError, StoreCorruptError)

#: Seconds before a gap is fetched again, because several batches may show the same gap.
REFETCH_DELAY_S: Final = 0.1


class Opener(Protocol):
    """Opens tasks again."""

    async def reopen(self, partitions: Collection[int], /) -> None:
        """Close the tasks of ``partitions``, and open new ones in their place."""


class KeptPositions(Protocol):
    """Provides the first offsets of topics."""

    async def first_kept(self, tp: TP, at: int, /) -> int:
        """Return ``at``, or the first offset of the log if that is later."""


class TaskReviver(Service):
    """Opens failed tasks again, or ends the worker if that would not help."""

    def __init__(
        self,
        registry: TaskRegistry,
        opener: Opener,
        positions: KeptPositions,
        consumer: SeekingConsumer,
        worker: WorkerContext,
        learn_limits: Callable[[Refusal], Awaitable[object]],
        **kwargs: Any,
    ) -> None:
        """Revive the tasks of ``registry``.

        Arguments:
            registry: the tasks of the worker.
            opener: opens tasks again.
            positions: the first offsets of topics.
            consumer: seeks the positions of tasks.
            worker: ended if a task cannot be revived.
            learn_limits: learns a topic's limits from a refused record.
            kwargs: arguments of :class:`mode.Service`.
        """
        super().__init__(**kwargs)
        self._registry = registry
        self._opener = opener
        self._positions = positions
        self._consumer = consumer
        self._worker = worker
        self._learn_limits = learn_limits
        self._retries = Retries()
        self._refetching: set[TP] = set()

    def task_failed(self, task: Task, exc: BaseException) -> None:
        """Open a failed task again if its partition is still assigned."""
        self._revive([task], exc)

    def commit_failed(self, exc: BaseException) -> None:
        """Open all tasks again, because their claims are void."""
        tasks = [task for task in self._registry.tasks.values() if not task.failed]
        for task in tasks:
            task.mark_failed()
        self._revive(tasks, exc)

    def _revive(self, tasks: Collection[Task], exc: BaseException) -> None:
        name = name_of({task.partition for task in tasks})
        if isinstance(exc, CURABLE):
            if isinstance(exc, FencedError):
                log.warning("%s: taken over by another worker: %s", name, exc)
            elif isinstance(exc, StoreCorruptError):
                log.error("%s: the copy on disk is set aside and rebuilt: %s", name, exc)
            else:
                log.error(
                    "%s: uncommitted changes are dropped, their events are processed again: %s",
                    name,
                    exc,
                )
            if tasks:
                self.add_future(self._reopen(tasks, exc))
            return
        if not isinstance(exc, ConfigurationError):
            # The traceback of a value that cannot be decoded does not help.
            log.error(
                "%s cannot continue", name, exc_info=None if isinstance(exc, CodecError) else exc
            )
        self._worker.give_up(exc)

    async def _reopen(self, failed: Collection[Task], reason: BaseException) -> None:
        generation = self._registry.generation
        # A worker that was away for long must first learn the new assignment from the group, so
        # that it does not take back a partition of another worker.
        patience = self._worker.session_timeout
        is_fenced = isinstance(reason, FencedError)
        delay = patience if is_fenced else self._retries.next_pause(monotonic())
        has_opened = False
        try:
            if isinstance(reason, RefusedError):
                await self._learn_limits(reason.refusal)
            while not self.should_stop:
                await self.sleep(delay)
                mine = {task.partition for task in failed if self._registry.is_current(task)}
                if self._registry.is_outdated(generation) or not (mine or has_opened):
                    return
                try:
                    if not has_opened:
                        await self._opener.reopen(mine)
                        has_opened = True
                    await self._consumer.perform_seek()
                except FOR_GOOD:
                    raise
                except Exception as exc:  # noqa: BLE001 - retried until the partition is lost
                    is_fenced = isinstance(exc, FencedError)
                    delay = patience if is_fenced else min(2 * delay, MAX_RETRY_S)
                    text = "%s cannot be opened: %r; again in %.1f s"
                    log.warning(text, name_of({task.partition for task in failed}), exc, delay)
                else:
                    return
        except FOR_GOOD as exc:
            self._worker.give_up(exc)

    def refetch(self, task: Task, tp: TP) -> None:
        """Fetch again from the position of ``task``, because a batch does not continue it."""
        if tp not in self._refetching:
            self._refetching.add(tp)
            self.add_future(self._refetch(task, tp))

    async def _refetch(self, task: Task, tp: TP) -> None:
        delay = REFETCH_DELAY_S
        try:
            while not self.should_stop:
                await self.sleep(delay)
                if not (task.accepting and self._registry.is_current(task)):
                    return
                try:
                    first = await self._positions.first_kept(tp, task.positions[tp])
                    await task.pass_over(tp, first)
                    await self._consumer.seek_positions({tp: task.positions[tp]})
                except (KafkaError, OSError) as exc:
                    # Without a new batch, nothing else would show the gap again.
                    delay = min(2 * delay, MAX_RETRY_S)
                    log.warning("%s cannot be fetched again: %r; again in %.1f s", tp, exc, delay)
                else:
                    return
        finally:
            self._refetching.discard(tp)
