"""Viral videos, and the records for them in the output topic."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import agents.video_deltas
from tests.agents.pipeline import DELTAS, EVENTS, VIRAL
from tests.integration import checks
from tests.integration.stream import START
from tests.oracle import HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.agents.conftest import PauseLoad
    from tests.agents.pipeline import Pipeline


T = START // HOUR * HOUR
VIDEO = 7


@pytest.fixture(autouse=True)
def _judge_at_every_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.video_deltas, "JUDGE_INTERVAL_S", 0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The processors' monotonic clock, set by the test."""
    now = [1000.0]
    monkeypatch.setattr(agents.video_deltas, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def make_viral(
    make_pipeline: Callable[..., Pipeline], send: Callable[..., None]
) -> Callable[[], Awaitable[Pipeline]]:
    """Return a pipeline in which a video is viral, with 10 views and 16 shares at T."""

    async def make() -> Pipeline:
        pipeline = make_pipeline(REELS_VIRAL_MIN_VIEWS=10)
        for n in range(26):
            send(pipeline, n, VIDEO, T, n, event_type="video_view" if n < 10 else "share")
        await pipeline.finish()
        assert flags(pipeline).keys() == {VIDEO}
        return pipeline

    return make


def flags(pipeline: Pipeline) -> dict[int, tuple[int, int, int, int, int]]:
    return checks.viral_flags(pipeline.last_values(VIRAL))


def detected_at(pipeline: Pipeline) -> int:
    windows = pipeline.parts[0].video._windows
    return windows.detected_at(pipeline.values("videos").get(b"%d" % VIDEO))


async def fold_unjudged(pipeline: Pipeline) -> None:
    """Process all sent records, those of videos included, but judge no video.

    Afterwards sums arrive through their topic, as another worker's do.
    """
    pipeline.is_one_worker = False
    await pipeline.process(0, EVENTS, 100)
    pipeline.parts[0].video._judged_at = float("inf")
    await pipeline.commit(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agents.video_deltas, "MAX_VIDEOS_WITH_BATCH", 0)
        await pipeline.process(0, DELTAS, 100)
    await pipeline.commit(0)


async def commit_while_videos_are_read(pipeline: Pipeline, pause_load: PauseLoad) -> None:
    """Process the sent records; while that waits for the disk, let a commit judge videos."""
    part = pipeline.parts[0]
    await pipeline.process(0, EVENTS, 100)
    await pipeline.commit(0)
    part.video._judged_at = 0.0
    reached, go_on = await pause_load(part.videos)
    processing = asyncio.create_task(pipeline.process(0, DELTAS, 100))
    await reached.wait()
    await pipeline.commit(0)
    go_on.set()
    await processing


async def test_a_flag_tells_the_window_and_its_counts(
    make_viral: Callable[[], Awaitable[Pipeline]],
) -> None:
    pipeline = await make_viral()
    window = (T + 5 * MINUTE - 2 * HOUR, T + 5 * MINUTE)
    assert flags(pipeline) == {VIDEO: (*window, 10, 0, 16)}


async def test_a_flag_is_told_again_only_when_its_counts_change(
    make_viral: Callable[[], Awaitable[Pipeline]], send: Callable[..., None]
) -> None:
    pipeline = await make_viral()
    told = len(pipeline.read(VIRAL))
    send(pipeline, 99, 8, T, "other")
    await pipeline.finish()
    assert len(pipeline.read(VIRAL)) == told
    send(pipeline, 99, VIDEO, T, "more", event_type="share")
    await pipeline.finish()
    assert len(pipeline.read(VIRAL)) == told + 1
    assert flags(pipeline)[VIDEO][-1] == 17


async def test_a_flag_keeps_the_time_at_which_it_was_raised(
    make_viral: Callable[[], Awaitable[Pipeline]], send: Callable[..., None]
) -> None:
    pipeline = await make_viral()
    assert detected_at(pipeline) == T
    send(pipeline, 99, VIDEO, T + MINUTE, "more", event_type="share")
    await pipeline.finish()
    await pipeline.crash(0)
    await pipeline.finish()
    assert detected_at(pipeline) == T


async def test_the_last_views_leaving_the_window_end_the_flag(
    make_viral: Callable[[], Awaitable[Pipeline]], send: Callable[..., None]
) -> None:
    pipeline = await make_viral()
    send(pipeline, 99, 8, T + 2 * HOUR - 1, "just inside")
    await pipeline.finish()
    assert flags(pipeline).keys() == {VIDEO}
    send(pipeline, 99, 8, T + 2 * HOUR, "outside")
    await pipeline.finish()
    assert flags(pipeline) == {}
    assert detected_at(pipeline) == 0


async def test_a_whole_window_of_silence_ends_the_flag(
    make_viral: Callable[[], Awaitable[Pipeline]], clock: list[float]
) -> None:
    pipeline = await make_viral()
    video = pipeline.parts[0].video
    clock[0] += 2 * 3600 - 1
    assert not video.has_pending()
    clock[0] += 1
    assert video.has_pending()
    await pipeline.finish()
    assert flags(pipeline) == {}
    assert not video.has_pending()


async def test_silence_that_began_before_a_restart_is_counted_anew(
    make_viral: Callable[[], Awaitable[Pipeline]], clock: list[float]
) -> None:
    pipeline = await make_viral()
    clock[0] += 3600
    await pipeline.crash(0)
    clock[0] += 3600
    await pipeline.finish()
    assert flags(pipeline).keys() == {VIDEO}
    clock[0] += 3600
    await pipeline.finish()
    assert flags(pipeline) == {}


async def test_a_video_is_flagged_in_the_commit_that_sends_the_event_which_makes_it_viral(
    make_pipeline: Callable[..., Pipeline], send: Callable[..., None]
) -> None:
    """It does not wait for the next check of all changed videos."""
    pipeline = make_pipeline(REELS_VIRAL_MIN_VIEWS=1)
    pipeline.parts[0].video._judged_at = float("inf")
    for number, event_type in enumerate(["video_view", "share", "share"]):
        send(pipeline, 1, VIDEO, T, number, event_type=event_type)
        await pipeline.process(0, EVENTS, 1)
        await pipeline.commit(0)
        assert (flags(pipeline).keys() == {VIDEO}) == (number == 2)
    assert not pipeline.read(DELTAS)


async def test_a_video_is_flagged_in_the_commit_after_its_sums_have_come(
    make_pipeline: Callable[..., Pipeline], send: Callable[..., None]
) -> None:
    """Another worker sent these sums."""
    pipeline = make_pipeline(REELS_VIRAL_MIN_VIEWS=1)
    pipeline.is_one_worker = False
    pipeline.parts[0].video._judged_at = float("inf")
    for number, event_type in enumerate(["video_view", "share", "share"]):
        send(pipeline, 1, VIDEO, T, number, event_type=event_type)
    await pipeline.process(0, EVENTS, 3)
    await pipeline.commit(0)
    await pipeline.process(0, DELTAS, 3)
    await pipeline.commit(0)
    assert flags(pipeline).keys() == {VIDEO}


async def test_a_flag_that_was_not_committed_is_raised_again(
    make_pipeline: Callable[..., Pipeline], send: Callable[..., None]
) -> None:
    pipeline = make_pipeline(REELS_VIRAL_MIN_VIEWS=1)
    send(pipeline, 1, VIDEO, T, 1)
    send(pipeline, 1, VIDEO, T, 2, event_type="share")
    send(pipeline, 1, VIDEO, T, 3, event_type="share")
    pipeline.is_one_worker = False
    await pipeline.process(0, EVENTS, 3)
    await pipeline.commit(0)
    await pipeline.process(0, DELTAS, 3)
    await pipeline.crash(0)
    assert flags(pipeline) == {}
    await pipeline.finish()
    assert flags(pipeline).keys() == {VIDEO}


async def test_a_flag_raised_while_videos_are_read_is_not_forgotten(
    make_pipeline: Callable[..., Pipeline], send: Callable[..., None], pause_load: PauseLoad
) -> None:
    """A commit judges the video while its next deltas wait for the disk.

    ::

        process  |--- read ---------------------- write ---|
        commit        |--- judged: viral ---|
    """
    pipeline = make_pipeline(REELS_VIRAL_MIN_VIEWS=10)
    for n in range(26):
        send(pipeline, n, VIDEO, T, n, event_type="video_view" if n < 10 else "share")
    await fold_unjudged(pipeline)
    send(pipeline, 99, VIDEO, T + MINUTE, "more", event_type="share")
    await commit_while_videos_are_read(pipeline, pause_load)
    pipeline.parts[0].video._judged_at = float("inf")
    send(pipeline, 99, 8, T + 3 * HOUR, "much later")
    await pipeline.process(0, EVENTS, 100)
    await pipeline.commit(0)
    await pipeline.crash(0)
    pipeline.parts[0].video._judged_at = 0.0
    await pipeline.process(0, DELTAS, 100)
    await pipeline.finish()
    assert flags(pipeline) == {}, "a restart knows which flags it has to end"


async def test_a_flag_raised_while_videos_are_read_keeps_its_time(
    make_pipeline: Callable[..., Pipeline], send: Callable[..., None], pause_load: PauseLoad
) -> None:
    pipeline = make_pipeline(REELS_VIRAL_MIN_VIEWS=10)
    for n in range(26):
        send(pipeline, n, VIDEO, T, n, event_type="video_view" if n < 10 else "share")
    await fold_unjudged(pipeline)
    send(pipeline, 99, VIDEO, T + MINUTE, "more", event_type="share")
    await commit_while_videos_are_read(pipeline, pause_load)
    await pipeline.finish()
    assert detected_at(pipeline) == T


async def test_a_flag_ended_while_videos_are_read_stays_ended(
    make_viral: Callable[[], Awaitable[Pipeline]], send: Callable[..., None], pause_load: PauseLoad
) -> None:
    pipeline = await make_viral()
    send(pipeline, 99, VIDEO, T + 2 * HOUR, "view", event_type="like")
    send(pipeline, 99, 8, T + 2 * HOUR, "other")
    await fold_unjudged(pipeline)
    send(pipeline, 99, VIDEO, T + 2 * HOUR + MINUTE, "like", event_type="like")
    await commit_while_videos_are_read(pipeline, pause_load)
    await pipeline.finish()
    assert detected_at(pipeline) == 0


async def test_late_comers_do_not_raise_a_flag_that_silence_has_ended(
    make_viral: Callable[[], Awaitable[Pipeline]], send: Callable[..., None], clock: list[float]
) -> None:
    pipeline = await make_viral()
    clock[0] += 2 * 3600
    await pipeline.finish()
    told = len(pipeline.read(VIRAL))
    send(pipeline, 99, VIDEO, T - MINUTE, "out of order", event_type="share")
    await pipeline.finish()
    assert flags(pipeline) == {}
    assert len(pipeline.read(VIRAL)) <= told + 2
