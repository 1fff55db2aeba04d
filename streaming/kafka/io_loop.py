"""An event loop in its own thread, for work that often waits for brokers.

A transaction takes about ten iterations of its event loop. In the worker's loop, tasks process
records, so that an iteration takes milliseconds under load. Commits spent nearly all of their time
on that, not on brokers.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from asyncio import Future
from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds to wait for the thread's end; the process may end without it.
STOP_TIMEOUT_S = 5.0


async def run_in(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run ``coroutine`` in another thread's ``loop``; cancelling the caller cancels it."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))


class IoLoop:
    """Runs coroutines outside the caller's event loop."""

    def __init__(self) -> None:
        """Start no thread before the first coroutine."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return the result of ``coroutine``, or raise its error; cancelled with the caller."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._loop.set_exception_handler(_report)
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="network", daemon=True
            )
            self._thread.start()
        return await run_in(self._loop, coroutine)

    async def stop(self) -> None:
        """Cancel running coroutines, and end the thread."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        await self.run(_cancel_others())
        self._loop = self._thread = None
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join, STOP_TIMEOUT_S)
        if not thread.is_alive():
            loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log in one line an error that no coroutine awaited.

    aiokafka leaves many failed futures after a producer's end, which its user has reported already.
    """
    exc = context.get("exception")
    is_left_behind = isinstance(exc, KafkaError) and isinstance(context.get("future"), Future)
    log.log(logging.DEBUG if is_left_behind else logging.WARNING, "%s: %r", context["message"], exc)
