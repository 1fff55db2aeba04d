"""The end of clients, within a limited time.

Depends on the internals of aiokafka 0.14 (``AIOKafkaProducer._sender``, ``_message_accumulator``);
``tests/streaming/test_stopping.py`` fails when they change.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from aiokafka import AIOKafkaProducer

log = logging.getLogger(__name__)

#: Seconds for the delivery of what a producer has begun, and for the end of its tasks after that.
FLUSH_S, CANCEL_S = 2.0, 0.5


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Stop ``producer``; what is not delivered by then is void.

    Its own method waits without a limit while brokers do not answer, and a caller that does not
    would leave its connections and tasks behind.
    """
    try:
        async with asyncio.timeout(FLUSH_S):
            await producer.stop()
            return
    except TimeoutError:
        log.debug("the brokers do not answer: a producer ends with undelivered records")
    tasks = _tasks_of(producer)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CANCEL_S)
    await producer.client.close()


def _tasks_of(producer: AIOKafkaProducer) -> list[asyncio.Task[object]]:
    """Return the tasks that run methods of the producer's parts; it does not keep them all."""
    parts = {id(producer._sender), id(producer._message_accumulator)}
    return [
        task
        for task in asyncio.all_tasks()
        if (frame := getattr(task.get_coro(), "cr_frame", None)) is not None
        and id(frame.f_locals.get("self")) in parts
    ]


async def stop_quietly(stopping: Awaitable[None], seconds: float = 3.0) -> None:
    """Wait for the end of a client that may be broken, and ignore its errors."""
    try:
        async with asyncio.timeout(seconds):
            await stopping
    except Exception as exc:  # noqa: BLE001
        log.debug("a client did not stop cleanly: %r", exc)
