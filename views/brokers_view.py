"""Lag of partitions that no worker answers for, according to the brokers."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiokafka.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Collection

    from streaming.ports import WorkerStatus

log = logging.getLogger(__name__)

#: Seconds between two requests, and maximum seconds between two attempts to connect.
INTERVAL_S: Final = 1.0
MAX_DELAY_S: Final = 15.0


class BrokersView:
    """Polls the brokers while partitions are wanted."""

    def __init__(self, status: WorkerStatus) -> None:
        """Connect through ``status``."""
        self._status = status
        self._wanted: frozenset[int] = frozenset()
        self._task: asyncio.Task[None] | None = None
        #: Records behind, by wanted partition; empty while the brokers do not answer.
        self.behind: dict[int, int] = {}

    def want(self, partitions: Collection[int]) -> None:
        """Set the partitions of :attr:`behind`, from the next request on."""
        self._wanted = frozenset(partitions)
        if self._wanted and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run(), name="brokers-view")

    async def stop(self) -> None:
        """Stop polling."""
        self._wanted, self.behind = frozenset(), {}
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        delay = INTERVAL_S
        while self._wanted:
            try:
                async with self._status.group_lag() as group_lag:
                    while self._wanted:
                        self.behind = await group_lag.records(self._wanted)
                        delay = INTERVAL_S
                        await asyncio.sleep(INTERVAL_S)
            except (KafkaError, OSError) as exc:
                log.debug("the positions of the group are unknown: %r", exc)
                self.behind = {}
                await asyncio.sleep(delay)
                delay = min(2 * delay, MAX_DELAY_S)
        self.behind = {}
