"""Work outside the event loop returns its result, raises its error, or is cancelled."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import KafkaError

from streaming.kafka.io_loop import IoLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def io_loop() -> AsyncIterator[IoLoop]:
    io_loop = IoLoop()
    yield io_loop
    await io_loop.stop()


async def test_it_runs_in_a_thread_of_its_own_and_returns_the_result(io_loop: IoLoop) -> None:
    async def here() -> int:
        return threading.get_ident()

    first, second = await io_loop.run(here()), await io_loop.run(here())
    assert first == second != threading.get_ident()


async def test_what_it_raises_is_raised_to_whoever_waits(io_loop: IoLoop) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await io_loop.run(fail())


async def test_it_goes_on_while_the_callers_event_loop_is_busy(io_loop: IoLoop) -> None:
    done = threading.Event()

    async def work() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        done.set()

    waiting = asyncio.ensure_future(io_loop.run(work()))
    await asyncio.sleep(0)
    assert done.wait(10), "this loop takes no turn meanwhile"
    await waiting


async def test_to_cancel_the_caller_is_to_cancel_the_work(io_loop: IoLoop) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    waiting = asyncio.ensure_future(io_loop.run(work()))
    assert await asyncio.to_thread(begun.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(cancelled.wait, 10)


async def test_what_fails_and_is_waited_for_by_nobody_is_a_line_without_a_traceback(
    io_loop: IoLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave_behind() -> None:
        asyncio.get_running_loop().create_future().set_exception(ZeroDivisionError("unseen"))
        gc.collect()

    await io_loop.run(leave_behind())
    (record,) = [each for each in caplog.records if each.name == "streaming.kafka.io_loop"]
    assert "unseen" in record.getMessage()
    assert record.exc_info is None


async def test_stopping_ends_the_thread_and_what_runs_in_it() -> None:
    io_loop = IoLoop()
    waiting = asyncio.ensure_future(io_loop.run(asyncio.sleep(60)))
    await asyncio.sleep(0.05)
    await io_loop.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "network"]
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_what_never_ran_anything_has_nothing_to_stop() -> None:
    await IoLoop().stop()


@pytest.mark.parametrize(
    ("exc", "told"), [(KafkaError("gone"), 0), (ZeroDivisionError(), 1)], ids=["Kafka's", "any"]
)
async def test_futures_that_a_broken_client_leaves_behind_are_not_told(
    io_loop: IoLoop, caplog: pytest.LogCaptureFixture, exc: BaseException, told: int
) -> None:
    """The client's caller has reported the error; any other unretrieved error is logged."""

    async def leave_behind() -> None:
        asyncio.get_running_loop().create_future().set_exception(exc)
        gc.collect()

    await io_loop.run(leave_behind())
    assert len([each for each in caplog.records if "never retrieved" in each.message]) == told
