"""Commands that run outside of a Faust worker: there is no app to start."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

from streaming.runtime.garbage import collect_seldom

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

_Result = TypeVar("_Result")


def run_without_worker(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run ``main`` to its end, and return its result or raise its error."""
    # Broker errors arrive as exceptions, and are printed as one line.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    collect_seldom()
    return asyncio.run(main)
