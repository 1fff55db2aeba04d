"""A table built with a finer step continues with a coarser one, with records still unprocessed.

::

    built     user 60 s by 10 s, video 20 s by 5 s
    changed   user 60 s by 30 s, video 20 s by 10 s
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import agents.video_deltas
from agents.summed_deltas import OtherStepError
from streaming.kafka.records import OutRecord
from tables.layout import LAYOUT_KEY, LayoutError
from tests.agents.pipeline import (
    DELTAS,
    EVENTS,
    ORDER,
    REPARTITION,
    VIRAL,
    Pipeline,
)
from tests.agents.test_against_the_oracle import RULES, SETTINGS, T, play, steps
from tests.integration import checks
from tests.integration.stream import event
from tests.oracle import SECOND, Oracle, in_order

if TYPE_CHECKING:
    from settings import Settings
    from tests.agents.test_against_the_oracle import Step


STEPS: dict[str, Any] = {"user_step": 30 * SECOND, "video_step": 10 * SECOND}
COARSE = replace(SETTINGS, **STEPS)


@pytest.fixture(autouse=True)
def _judge_at_every_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.video_deltas, "JUDGE_INTERVAL_S", 0.0)


async def do(pipeline: Pipeline, script: list[Step]) -> None:
    """Run a script, and leave unprocessed records unprocessed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "finish", lambda: asyncio.sleep(0))
        await play(pipeline, script)


async def changed(pipeline: Pipeline, rules: Settings) -> Pipeline:
    """Return the same pipeline after a restart with other settings."""
    for number in range(len(pipeline.parts)):
        await pipeline.crash(number)
    for part in pipeline.parts:
        for state in (part.users, part.videos, part.creators):
            state.store.close()
    after = Pipeline(pipeline.folder, rules)
    after.topics = pipeline.topics
    for old, new in zip(pipeline.parts, after.parts, strict=True):
        new.positions, new.committed = dict(old.committed), dict(old.committed)
        new.commits = old.commits
    return after


def values_in_steps(pipeline: Pipeline, table: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for part in pipeline.parts:
        state = getattr(part, table)
        in_steps = state._layout.windows.in_units(state.unit).in_steps
        found |= {key: in_steps(value) for key, value in state.items()}
    return found


def judge(pipeline: Pipeline, at_change: list[dict[str, int]]) -> Oracle:
    """Feed the oracle, with the new rules from the positions ``at_change`` on."""
    oracle = Oracle(RULES, EVENTS)
    passed_on = pipeline.read(REPARTITION)
    for record, is_passed_on in in_order(pipeline.read(EVENTS), passed_on, pipeline.read(ORDER)):
        topic = REPARTITION if is_passed_on else EVENTS
        is_before = record.offset < at_change[record.partition][topic]
        oracle.rules = RULES if is_before else replace(RULES, **STEPS)
        oracle.feed(record, topic)
    oracle.rules = replace(RULES, **STEPS)
    return oracle


def check(pipeline: Pipeline, oracle: Oracle) -> None:
    latest = oracle.latest()
    if latest is not None:
        checks.check_user_values(values_in_steps(pipeline, "users"), oracle)
        checks.check_video_values(values_in_steps(pipeline, "videos"), oracle)
        checks.check_creator_values(values_in_steps(pipeline, "creators"), oracle)
        expected = checks.viral_topic_of(oracle.viral(latest))
        assert checks.viral_flags(pipeline.last_values(VIRAL)) == expected


async def run(folder: Path, accelerator: str, before: list[Step], after: list[Step]) -> None:
    pipeline = Pipeline(folder, replace(SETTINGS, accelerator=accelerator))
    await do(pipeline, before)
    pipeline = await changed(pipeline, replace(COARSE, accelerator=accelerator))
    at_change = [dict(part.committed) for part in pipeline.parts]
    with pipeline:
        await play(pipeline, after)
        check(pipeline, judge(pipeline, at_change))
        for part in pipeline.parts:
            if part.users.stream_time is not None:
                stored = msgspec.json.decode(part.users.store.get(LAYOUT_KEY) or b"{}")
                assert stored.get("step", 30 * SECOND) in {10 * SECOND, 30 * SECOND}


SCRIPTS = st.lists(steps, max_size=40)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=SCRIPTS, after=SCRIPTS)
@pytest.mark.parametrize("accelerator", ["on", "off"])
def test_whatever_was_counted_or_on_its_way_the_oracle_is_right(
    accelerator: str, before: list[Step], after: list[Step]
) -> None:
    """Rows of both steps, new partitions, and sums sent before the change, in both forms."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), accelerator, before, after))


def views(*seconds: int) -> list[OutRecord]:
    return [
        OutRecord(b"1", event(1, 1, T + second * SECOND, f"{second}", creator_id=3))
        for second in seconds
    ]


@pytest.fixture
async def built(tmp_path: Path) -> Pipeline:
    """A pipeline with a finer step and some unprocessed sums."""
    pipeline = Pipeline(tmp_path, SETTINGS)
    for records in (views(0, 4, 12), views(28, 31)):
        await pipeline.finish()
        for number in range(SETTINGS.partitions):
            for record in records:
                pipeline.send(EVENTS, number, record)
            await pipeline.process(number, EVENTS, 99)
            await pipeline.commit(number)
        for number in range(SETTINGS.partitions):
            await pipeline.process(number, REPARTITION, 99)
            await pipeline.commit(number)
    waiting = [
        len(pipeline.topics[DELTAS, n]) - p.committed[DELTAS] for n, p in enumerate(pipeline.parts)
    ]
    assert sum(waiting)
    return pipeline


async def test_the_change_is_said_and_there_is_no_way_back_once_it_is_committed(
    built: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    coarse = await changed(built, COARSE)
    line = "table users: the step changes to 30s from 10s: panes are merged"
    assert line in caplog.text
    assert "table videos: the step changes to 10s from 5s" in caplog.text
    await coarse.finish()
    caplog.clear()
    again = await changed(coarse, COARSE)
    assert "the step changes" not in caplog.text
    with pytest.raises(LayoutError, match="has a window of 20s by 10s, but the settings"):
        await changed(again, SETTINGS)


async def test_sums_by_a_coarser_step_than_ones_own_are_refused(built: Pipeline) -> None:
    """They come from a worker that was started with other settings."""
    coarse = await changed(built, COARSE)
    for record in views(40, 45):
        coarse.send(EVENTS, 0, record)
        coarse.send(EVENTS, 1, record)
    await coarse.finish()
    old = built.parts[0].video
    (told, *_) = [each for n in (0, 1) for each in coarse.topics[DELTAS, n][-1:]]
    with pytest.raises(
        OtherStepError, match=r"with a step of 10s to .*, but this worker's step is 5s"
    ):
        await old.process([told], DELTAS)
    coarse.__exit__()
