"""A pipeline for a test, and a function that feeds it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from streaming.kafka.records import OutRecord
from tests.agents.pipeline import EVENTS, Pipeline, make_settings
from tests.integration.stream import event
from tests.oracle_events import partition_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from tables.state import PartitionState

    PauseLoad = Callable[[PartitionState], Awaitable[tuple[asyncio.Event, asyncio.Event]]]


@pytest.fixture
def make_pipeline(tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Return a factory of pipelines; settings are environment variables."""
    open_now: list[Pipeline] = []

    def make(**environment: str | int) -> Pipeline:
        pipeline = Pipeline(tmp_path, make_settings(TOPIC_PARTITIONS=1, **environment))
        open_now.append(pipeline)
        return pipeline

    yield make
    for pipeline in open_now:
        pipeline.__exit__()


@pytest.fixture
def send() -> Callable[..., None]:
    """Return a function that sends an event to its user's partition."""

    def send_event(
        pipeline: Pipeline, user_id: int, video_id: int, t: int, number: object, **changes: Any
    ) -> None:
        partition = partition_of(user_id, len(pipeline.parts))
        value = event(user_id, video_id, t, number, **changes)
        pipeline.send(EVENTS, partition, OutRecord(b"%d" % user_id, value))

    return send_event


@pytest.fixture
def pause_load(monkeypatch: pytest.MonkeyPatch) -> PauseLoad:
    """Return a coroutine function that holds a state's next load until the test releases it.

    It simulates a slow disk: the data has been read, but has not arrived yet.
    """

    async def pause(state: PartitionState) -> tuple[asyncio.Event, asyncio.Event]:
        await state.flush()
        reached, go_on = asyncio.Event(), asyncio.Event()
        in_thread = state.in_thread

        async def slow_thread(function: Callable[..., Any], *args: Any) -> Any:
            result = await in_thread(function, *args)
            if function == state.store.get_many:
                reached.set()
                await go_on.wait()
            return result

        monkeypatch.setattr("tables.state.MIN_KEYS_FOR_THREAD", 1)
        state.layers.evict(0, 0)
        monkeypatch.setattr(state, "in_thread", slow_thread)
        return reached, go_on

    return pause
