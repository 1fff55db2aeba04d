"""The oracle is right for any order of events, processing, commits and crashes.

Windows are short here, so that a few events cross them::

    user     60 s by 10 s, horizon 30 s
    video    20 s by 5 s, viral from 2 views on
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import agents.video_deltas
from streaming.kafka.records import OutRecord
from tests.agents.pipeline import (
    DEAD_LETTERS,
    EVENTS,
    ORDER,
    REPARTITION,
    SOURCES,
    VIRAL,
    Pipeline,
    make_settings,
)
from tests.integration import checks
from tests.integration.stream import START, event
from tests.oracle import SECOND, Oracle, Rules, in_order

PARTITIONS = 2
#: On a step boundary of every window.
T = START // 60_000 * 60_000
SETTINGS = make_settings(
    TOPIC_PARTITIONS=PARTITIONS,
    REELS_USER_WINDOW="60s",
    REELS_USER_STEP="10s",
    REELS_VIDEO_WINDOW="20s",
    REELS_VIDEO_STEP="5s",
    REELS_DEDUP_HORIZON="30s",
    REELS_VIRAL_MIN_VIEWS=2,
)
RULES = Rules(
    PARTITIONS,
    user_window=60 * SECOND,
    user_step=10 * SECOND,
    video_window=20 * SECOND,
    video_step=5 * SECOND,
    horizon=30 * SECOND,
    viral_min_views=2,
)


#: By the number of an event: one has no position, and one has an invalid one.
POSITIONS: list[dict[str, float]] = [
    {},
    {"video_position": 1 / 7},
    {"video_position": 0.1234567895},
    {"video_position": 1},
    {"video_position": 1.5},
    {},
]


#: By the number of an event: some have no creator, and one has an invalid id.
CREATORS = [None, 3, 2**63 - 1, 0, "3", 3]


class Send(NamedTuple):
    """An event arrives in any partition."""

    partition: int
    user_id: int
    video_id: int
    event_type: str
    seconds: float
    number: int


class Fold(NamedTuple):
    """A partition processes a few records of a topic."""

    partition: int
    topic: str
    count: int  # type: ignore[assignment]  # tuple has a method of that name


class Commit(NamedTuple):
    """Partitions of one worker commit."""

    partitions: tuple[int, ...]


class Crash(NamedTuple):
    """A partition loses its uncommitted changes."""

    partition: int


Step = Send | Fold | Commit | Crash

partitions = st.integers(0, PARTITIONS - 1)
sends = st.builds(
    Send,
    partitions,
    st.integers(1, 2),
    st.integers(1, 3),
    st.sampled_from(["video_view", "video_view", "share", "comment", "like", "save", "follow"]),
    st.one_of(
        st.integers(0, 18).map(lambda steps: 5 * steps),
        st.integers(0, 18).map(lambda steps: 5 * steps - 0.001),
        st.sampled_from([-T / SECOND - 1, 10**10]),
    ),
    st.integers(1, 5),
)
steps = st.one_of(
    sends,
    sends,
    sends,
    sends,
    st.builds(Fold, partitions, st.sampled_from(SOURCES), st.integers(1, 10)),
    st.builds(Commit, st.sampled_from([(0,), (1,), (0, 1)])),
    st.builds(Crash, partitions),
)


@pytest.fixture(autouse=True)
def _judge_at_every_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.video_deltas, "JUDGE_INTERVAL_S", 0.0)


async def play(pipeline: Pipeline, script: list[Step]) -> None:
    for step in script:
        match step:
            case Send(partition, user_id, video_id, event_type, seconds, number):
                t = T + round(seconds * SECOND)
                far: dict[str, Any] = {"timestamp": "2999-01-01T00:00:00Z"} if t > 2 * T else {}
                value = event(
                    *(user_id, video_id, min(t, 2 * T), number),
                    event_type=event_type,
                    metadata={"view_duration_ms": number} | POSITIONS[number],
                    creator_id=CREATORS[number],
                    **far,
                )
                pipeline.send(EVENTS, partition, OutRecord(b"k%d" % number, value))
            case Fold(partition, topic, count):
                await pipeline.process(partition, topic, count)
            case Commit(numbers):
                await pipeline.commit(*numbers)
            case Crash(partition):
                await pipeline.crash(partition)
    await pipeline.finish()


def judge(pipeline: Pipeline) -> Oracle:
    oracle = Oracle(RULES, EVENTS)
    passed_on = pipeline.read(REPARTITION)
    for record, is_passed_on in in_order(pipeline.read(EVENTS), passed_on, pipeline.read(ORDER)):
        oracle.feed(record, REPARTITION if is_passed_on else None)
    assert Counter(record._replace(offset=0) for record in passed_on) == oracle.passed_on
    return oracle


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=st.lists(steps, min_size=20, max_size=60))
@pytest.mark.parametrize("accelerator", ["on", "off"])
def test_every_script_ends_as_the_oracle_says(accelerator: str, script: list[Step]) -> None:
    rules = replace(SETTINGS, accelerator=accelerator)
    with tempfile.TemporaryDirectory() as folder, Pipeline(Path(folder), rules) as pipeline:
        asyncio.run(play(pipeline, script))
        oracle = judge(pipeline)
        checks.check_dead_letter_records(pipeline.read(DEAD_LETTERS), oracle)
        latest = oracle.latest()
        if latest is not None:
            checks.check_user_values(pipeline.values("users"), oracle)
            checks.check_video_values(pipeline.values("videos"), oracle)
            checks.check_creator_values(pipeline.values("creators"), oracle)
            assert not any(part.creators.complete_from for part in pipeline.parts)
            expected = checks.viral_topic_of(oracle.viral(latest))
            assert checks.viral_flags(pipeline.last_values(VIRAL)) == expected
        for part in pipeline.parts:
            number = part.engagement._partition
            assert part.users.stream_time == oracle.stream_times.get(number)
