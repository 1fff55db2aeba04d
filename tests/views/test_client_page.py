"""The examples of the Python client in README.md and docs/clients.md, run against a worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.documents import blocks
from tests.test_documents import CLIENT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.views.conftest import Worker

    Run = Callable[[str], Awaitable[dict[str, Any]]]


AT = "2025-01-15T14:30:45.123Z"
README, RANK, WATCHED, FRAME = (
    block.text for block in blocks() if block.language == "python" and CLIENT in block.text
)


@pytest.fixture
def run(worker: Worker) -> Run:
    """Run an example as a separate program would, and return its names."""
    for video_id in range(1, 31):
        worker.put_video(video_id, (AT, 100, video_id, 0, 1))
    worker.put_user(2, ("video_view", AT, 1000), ("video_view", AT, 1000))

    async def run_block(text: str) -> dict[str, Any]:
        code = text.replace("http://127.0.0.1:6066", str(worker.url))
        names: dict[str, Any] = {}
        await asyncio.to_thread(exec, compile(code, "example", "exec"), names)
        return names

    return run_block


async def test_the_example_of_the_readme_ranks_by_likes(run: Run) -> None:
    assert (await run(README.replace("[42]", "[2]")))["ranked"] == list(range(30, 0, -1))


async def test_candidates_are_ranked(run: Run) -> None:
    assert (await run(RANK))["ranked"] == list(range(30, 20, -1))


async def test_users_are_read_in_an_event_loop(run: Run) -> None:
    assert (await run(WATCHED))["counts"] == {2: 2}


async def test_a_frame_is_filled_from_arrow(run: Run) -> None:
    frame = (await run(FRAME))["frame"]
    assert frame["video_id"].tolist() == list(range(1, 31))
    assert frame["likes_per_view"].tolist() == [video_id / 100 for video_id in range(1, 31)]
    assert str(frame["as_of"].dtype) == "datetime64[ms, UTC]"
