"""What becomes of tasks that cannot go on, and of batches that do not follow what is folded."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from mode import Service

from models.errors import CodecError
from streaming.commit.pacing import LAST_RETRY, Retries
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

#: What opening a task again does not change.
FOR_GOOD: Final = (ChangelogError, ConfigurationError, PositionError)

#: What it does change: a broken transaction, and a damaged database. Anything else (a full disk, a
#: fault in this program) would only happen again.
CURABLE: Final = (TransactionFailedError, StoreCorruptError)

#: Seconds before what does not follow is fetched again: several may find the same gap.
REFETCH_DELAY: Final = 0.1


class Opener(Protocol):
    """Opens tasks anew."""

    async def reopen(self, partitions: Collection[int], /) -> None:
        """Close the tasks of ``partitions``, and open others in their place."""


class KeptPositions(Protocol):
    """Knows where topics begin."""

    async def first_kept(self, tp: TP, at: int, /) -> int:
        """Return ``at``, or the first offset that is still there."""


class TaskReviver(Service):
    """Opens tasks that have failed again, or ends the worker when that would change nothing."""

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
            opener: opens them anew.
            positions: knows where topics begin now.
            consumer: fetches again from where tasks stand.
            worker: ends when a task cannot be revived.
            learn_limits: takes note of which record a topic has refused.
            kwargs: as :class:`mode.Service` takes them.
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
        """Open a failed task again while its partition is still ours."""
        self._revive([task], exc)

    def commit_failed(self, exc: BaseException) -> None:
        """Open all tasks again: nothing more is claimed for any of them."""
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
                log.error("%s: set aside, to be built anew: %s", name, exc)
            else:
                log.error("%s: what is not committed is dropped, to be folded again: %s", name, exc)
            if tasks:
                self.add_future(self._reopen(tasks, exc))
            return
        if not isinstance(exc, ConfigurationError):
            # A value that cannot be decoded is no fault of the code that says it.
            log.error(
                "%s cannot go on", name, exc_info=None if isinstance(exc, CodecError) else exc
            )
        self._worker.give_up(exc)

    async def _reopen(self, failed: Collection[Task], reason: BaseException) -> None:
        generation = self._registry.generation
        # Whoever was away for long learns from the group first that all has changed: a partition
        # that now is another's may not be taken back.
        patience = self._worker.session_timeout
        is_fenced = isinstance(reason, FencedError)
        delay = patience if is_fenced else self._retries.next_pause(monotonic())
        try:
            if isinstance(reason, RefusedError):
                await self._learn_limits(reason.refusal)
            while not self.should_stop:
                await self.sleep(delay)
                mine = {task.partition for task in failed if self._registry.is_current(task)}
                if not mine or self._registry.is_outdated(generation):
                    return
                try:
                    await self._opener.reopen(mine)
                except FOR_GOOD:
                    raise
                except Exception as exc:  # noqa: BLE001 - tried again until it is not ours
                    is_fenced = isinstance(exc, FencedError)
                    delay = patience if is_fenced else min(2 * delay, LAST_RETRY)
                    text = "%s cannot be opened: %r; again in %.1f s"
                    log.warning(text, name_of(mine), exc, delay)
                else:
                    await self._consumer.perform_seek()
                    return
        except FOR_GOOD as exc:
            self._worker.give_up(exc)

    def position_missed(self, task: Task, tp: TP) -> None:
        """Fetch again from where ``task`` stands: what came does not follow."""
        if tp not in self._refetching:
            self._refetching.add(tp)
            self.add_future(self._refetch(task, tp))

    async def _refetch(self, task: Task, tp: TP) -> None:
        try:
            await self.sleep(REFETCH_DELAY)
            if task.accepting and self._registry.is_current(task):
                first = await self._positions.first_kept(tp, task.positions[tp])
                await task.pass_over(tp, first)
                await self._consumer.seek_positions({tp: task.positions[tp]})
        finally:
            self._refetching.discard(tp)
