"""The processing of a batch of engagement events."""

from __future__ import annotations

import asyncio
from time import time
from typing import TYPE_CHECKING

import pytest

from models.deltas import unpack_deltas
from monitoring import metrics
from streaming.kafka.records import OutRecord
from tests.agents.pipeline import DEAD_LETTERS, DELTAS, EVENTS, Pipeline, make_settings
from tests.integration.stream import START, event, nasty_values
from tests.oracle import HOUR, MINUTE, Oracle, Rules
from tests.oracle_events import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.agents.conftest import PauseLoad


T = START // HOUR * HOUR

#: The last counters of a row: views that gave a position, and the sum of those.
NO_POSITION = 0, 0


def deltas(pipeline: Pipeline, partition: int = 0) -> list[tuple[int, int, list[tuple[int, ...]]]]:
    """Return each delta record sent to a partition: source, stream time, rows."""
    return [
        (source, stream_time, sorted(rows))
        for source, stream_time, rows in (
            unpack_deltas(record.value) for record in pipeline.topics[DELTAS, partition]
        )
    ]


def outcome_counts() -> dict[str, float]:
    samples = next(iter(metrics.events.collect())).samples
    return {s.labels["outcome"]: s.value for s in samples if s.name == "reels_events_total"}


async def test_every_nasty_value_has_the_outcome_that_the_oracle_gives_it(
    make_pipeline: Callable[..., Pipeline],
) -> None:
    pipeline = make_pipeline()
    before = outcome_counts()
    oracle = Oracle(Rules(1), EVENTS)
    for user_id, value in nasty_values(T):
        pipeline.send(EVENTS, 0, OutRecord(b"%d" % user_id, value))
    await pipeline.finish()
    for record in pipeline.read(EVENTS):
        oracle.feed(record)
    found = {name: count - before[name] for name, count in outcome_counts().items()}
    assert found == {name: oracle.outcomes[name] for name in found}
    headers = [dict(record.headers) for record in pipeline.read(DEAD_LETTERS)]
    assert sorted(int(h["source.offset"]) for h in headers) == [
        letter.source_offset for letter in oracle.dead_letters
    ]
    assert {h["source.app"] for h in headers} == {b"reels"}
    by_offset = {int(h["source.offset"]): h["reason"].decode() for h in headers}
    assert by_offset == {each.source_offset: each.reason for each in oracle.dead_letters}


async def test_events_of_a_video_and_pane_leave_as_one_row_a_commit(
    make_pipeline: Callable[..., Pipeline], send: Callable[..., None]
) -> None:
    pipeline = make_pipeline()
    pipeline.is_one_worker = False
    for user in range(50):
        send(pipeline, user, 7, T, f"view-{user}")
    send(pipeline, 1, 7, T + 6 * MINUTE, "share", event_type="share")
    send(pipeline, 1, 8, T, "like", event_type="like")
    send(pipeline, 1, 8, T, "comment", event_type="comment")
    send(pipeline, 1, 9, T, "save", event_type="save")
    send(pipeline, 1, 9, T, "follow", event_type="follow")
    await pipeline.process(0, EVENTS, 100)
    await pipeline.commit(0)
    pane = T // (5 * MINUTE)
    assert deltas(pipeline) == [
        (
            0,
            T + 6 * MINUTE,
            [
                (7, pane, 50, 0, 0, 0, *NO_POSITION),
                (7, pane + 1, 0, 0, 0, 1, *NO_POSITION),
                (8, pane, 0, 1, 1, 0, *NO_POSITION),
            ],
        )
    ]


async def test_a_step_of_time_is_told_to_every_partition_once(tmp_path: Path) -> None:
    settings = make_settings(TOPIC_PARTITIONS=3)
    user = next(user for user in range(99) if partition_of(user, 3) == 0)
    with Pipeline(tmp_path, settings) as pipeline:
        pipeline.is_one_worker = False
        for number, t in enumerate((T, T + MINUTE, T + 5 * MINUTE, T + 6 * MINUTE)):
            value = event(user, 7, t, number, event_type="save")
            pipeline.send(EVENTS, 0, OutRecord(None, value))
            await pipeline.process(0, EVENTS, 1)
            await pipeline.commit(0)
        for partition in range(3):
            assert deltas(pipeline, partition) == [(0, T, []), (0, T + 5 * MINUTE, [])]


async def test_a_step_that_was_told_is_not_told_again_after_a_restart(
    make_pipeline: Callable[..., Pipeline], send: Callable[..., None]
) -> None:
    pipeline = make_pipeline()
    pipeline.is_one_worker = False
    send(pipeline, 1, 7, T, 1, event_type="save")
    await pipeline.finish()
    await pipeline.crash(0)
    send(pipeline, 1, 7, T + MINUTE, 2, event_type="save")
    await pipeline.finish()
    assert deltas(pipeline) == [(0, T, [])]


async def test_deltas_of_events_that_were_lost_are_sent_once_when_those_are_processed_again(
    make_pipeline: Callable[..., Pipeline], send: Callable[..., None]
) -> None:
    pipeline = make_pipeline()
    pipeline.is_one_worker = False
    send(pipeline, 1, 7, T, 1)
    await pipeline.process(0, EVENTS, 1)
    await pipeline.crash(0)
    await pipeline.finish()
    assert deltas(pipeline) == [(0, T, [(7, T // (5 * MINUTE), 1, 0, 0, 0, *NO_POSITION)])]


async def test_a_commit_while_users_are_read_takes_all_of_a_chunk_or_nothing(
    make_pipeline: Callable[..., Pipeline], send: Callable[..., None], pause_load: PauseLoad
) -> None:
    pipeline = make_pipeline()
    send(pipeline, 1, 7, T, 1)
    await pipeline.finish()
    sent = len(deltas(pipeline))
    reached, go_on = await pause_load(pipeline.parts[0].users)
    send(pipeline, 1, 7, T + MINUTE, 2)
    processing = asyncio.create_task(pipeline.process(0, EVENTS, 10))
    await reached.wait()
    await pipeline.commit(0)
    assert len(deltas(pipeline)) == sent
    go_on.set()
    await processing
    await pipeline.finish()
    windows = pipeline.parts[0].engagement._backend.plain_windows
    assert windows.metrics(pipeline.values("users")[b"1"], T + MINUTE).views == 2


async def test_a_late_event_says_where_the_oldest_window_begins(
    make_pipeline: Callable[..., Pipeline], send: Callable[..., None]
) -> None:
    pipeline = make_pipeline()
    send(pipeline, 1, 7, T + 24 * HOUR, 1)
    send(pipeline, 1, 7, T, 2)
    await pipeline.finish()
    (letter,) = pipeline.read(DEAD_LETTERS)
    headers = dict(letter.headers)
    assert headers["reason"] == b"late"
    assert b"2025-01-15T14:15:00Z" in headers["detail"]


@pytest.mark.parametrize("ahead", [-1, 1])
async def test_an_event_may_be_ahead_of_the_clock_by_the_skew_and_no_more(
    make_pipeline: Callable[..., Pipeline],
    send: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    ahead: int,
) -> None:
    monkeypatch.setattr("agents.engagement.time", lambda: T / 1000)
    pipeline = make_pipeline(REELS_MAX_FUTURE_SKEW="5m")
    send(pipeline, 1, 7, T + 5 * MINUTE + ahead, 1)
    await pipeline.finish()
    letters = pipeline.read(DEAD_LETTERS)
    assert [dict(letter.headers)["reason"] for letter in letters] == [b"future_timestamp"] * (
        ahead > 0
    )


async def test_users_whose_windows_are_over_leave_the_table(
    make_pipeline: Callable[..., Pipeline], send: Callable[..., None]
) -> None:
    pipeline = make_pipeline()
    for user in range(50):
        send(pipeline, user, 7, T, user)
    await pipeline.finish()
    send(pipeline, 60, 7, T + 26 * HOUR, "later")
    await pipeline.finish()
    assert len(pipeline.values("users")) == 51
    await pipeline.parts[0].users.sweeper.scan(10**6)
    assert pipeline.parts[0].users.sweeper
    await pipeline.finish()
    assert pipeline.values("users").keys() == {b"60"}


async def test_only_times_that_can_be_true_are_part_of_the_latency(
    make_pipeline: Callable[..., Pipeline],
) -> None:
    """Producers may send none (-1), seconds for milliseconds, or the time of a wrong clock."""
    now = int(time() * 1000)
    pipeline = make_pipeline()
    counts, total = sum(metrics.ingest_latency.counts), metrics.ingest_latency._sum
    for number, sent in enumerate((-1, 0, now // 1000, now - 2000, now + 3_600_000)):
        value = event(1, 7, T, f"sent-{number}")
        pipeline.send(EVENTS, 0, OutRecord(b"1", value, (), sent))
    await pipeline.finish()
    assert sum(metrics.ingest_latency.counts) == counts + 1
    assert 2 <= metrics.ingest_latency._sum - total < 60


async def test_the_latency_of_an_event_that_is_passed_on_is_that_until_it_is_applied(
    tmp_path: Path,
) -> None:
    now = int(time() * 1000)
    counts, total = sum(metrics.ingest_latency.counts), metrics.ingest_latency._sum
    here, there = (next(u for u in range(99) if partition_of(u, 2) == n) for n in (0, 1))
    sent = [(here, 2000), (there, 3000), (here, 3000), (there, 5000)]
    with Pipeline(tmp_path, make_settings(TOPIC_PARTITIONS=2)) as pipeline:
        for number, (user, age) in enumerate(sent):
            value = event(user, 7, T, f"passed-{number}")
            pipeline.send(EVENTS, 0, OutRecord(b"any", value, (), now - age))
        await pipeline.process(0, EVENTS, len(sent))
        assert sum(metrics.ingest_latency.counts) == counts + 2
        assert 5 <= metrics.ingest_latency._sum - total < 8
        await pipeline.finish()
    assert sum(metrics.ingest_latency.counts) == counts + 4


async def test_a_dead_letter_has_key_value_and_headers_of_what_was_rejected(
    make_pipeline: Callable[..., Pipeline],
) -> None:
    pipeline = make_pipeline()
    headers = (("trace", b"17"), ("reason", b"mine"), ("none", None))
    pipeline.send(EVENTS, 0, OutRecord(b"odd", b"no json", headers))
    await pipeline.finish()
    (letter,) = pipeline.read(DEAD_LETTERS)
    assert (letter.key, letter.value) == (b"odd", b"no json")
    assert letter.headers[0] == ("reason", b"malformed_json")
    assert letter.headers[5] == ("source.app", b"reels")
    originals: tuple[tuple[str, bytes | None], ...] = letter.headers[6:]
    assert originals == (
        ("original.header.trace", b"17"),
        ("original.header.reason", b"mine"),
        ("original.header.none", None),
    )
