"""Commands that run outside of a Faust worker: there is no app to start."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING, TypeVar

from streaming.runtime.garbage import collect_seldom

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

_Result = TypeVar("_Result")


def run_without_worker(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run ``main`` to its end, and return its result or raise its error.

    SIGTERM ends it as Ctrl-C does, so that temporary files are deleted; the exit code is 143.
    """
    # Broker errors arrive as exceptions, and are printed as one line.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    collect_seldom()
    has_sigterm = False

    async def run() -> _Result:
        task = asyncio.current_task()

        def end() -> None:
            nonlocal has_sigterm
            has_sigterm = True
            assert task is not None  # noqa: S101 - a coroutine that runs has a task
            task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
        return await main

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        if has_sigterm:
            sys.exit(128 + signal.SIGTERM)
        raise
