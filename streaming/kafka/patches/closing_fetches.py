"""A consumer can stop while a fetch waits for its next attempt because no broker has answered.

aiokafka 0.14 cancels and awaits such fetches one by one, and its ``stop()`` raises the first
CancelledError. The caller takes that for its own cancellation, and the connections stay open.
"""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING

from aiokafka.consumer.fetcher import Fetcher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: Seconds before the task that starts fetches is cancelled again.
CANCEL_AGAIN_S = 0.1


def install() -> None:
    """End all fetches of a fetcher before it closes."""
    Fetcher.close = _without_fetches(Fetcher.close)


def _without_fetches(close: Callable[[Fetcher], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @wraps(close)
    async def end_fetches(self: Fetcher) -> None:
        # First the task that starts fetches. It ignores a cancellation while it ends some itself.
        while not self._fetch_task.done():
            self._fetch_task.cancel()
            await asyncio.wait([self._fetch_task], timeout=CANCEL_AGAIN_S)
        fetches = list(self._pending_tasks)
        self._pending_tasks.clear()
        for fetch in fetches:
            fetch.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)
        await close(self)

    return end_fetches
