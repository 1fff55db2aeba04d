"""An audit of the program's processors without Kafka: it finds differences, and only those.

Windows and the horizon are short, as in ``tests/agents/test_against_the_oracle.py``.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditing import Processes, audit
from auditing.parts import Names
from auditing.replayed import Done
from auditing.shares import count_share
from auditing.spill_map import id_key
from auditing.summed import SummedTable
from models.dedup import is_sealed_key
from streaming.kafka.records import OutRecord
from tables.foreign import check_rows
from tables.layout import LAYOUT_KEY
from tables.summed import summed_layout
from tests.agents.pipeline import (
    CREATOR_DELTAS,
    DEAD_LETTERS,
    DELTAS,
    EVENTS,
    ORDER,
    REPARTITION,
    SOURCES,
    Pipeline,
)
from tests.agents.test_against_the_oracle import PARTITIONS, SETTINGS, T
from tests.integration.stream import event
from tests.oracle import SECOND
from topology import topology

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from auditing.parts import Progress
    from auditing.report import Report
    from auditing.spill_map import SpillMap
    from tables.layout import StoreFormat
    from tables.state import PartitionState


NAMES = Names(
    EVENTS,
    REPARTITION,
    ORDER,
    DEAD_LETTERS,
    {"video_metrics": DELTAS, "creator_metrics": CREATOR_DELTAS},
    {"user_metrics": "users", "video_metrics": "videos", "creator_metrics": "creators"},
)
TABLES = [
    SummedTable(entry.name, entry.windows, summed_layout(entry.windows))
    for entry in topology(SETTINGS)
    if entry.deltas is not None
]
PLENTY = 64 << 20
KINDS = ("video_view", "video_view", "share", "comment", "like", "save")


class Topics:
    """A pipeline's topics, as the audit reads them; ``begins`` are their first offsets now."""

    def __init__(self, pipeline: Pipeline, **begins: int) -> None:
        self.pipeline = pipeline
        self.first = begins

    async def partitions(self, _: str) -> list[int]:
        return list(range(PARTITIONS))

    async def begins(self, topic: str) -> dict[int, int]:
        return {
            n: min(self.first.get(topic, 0), end) for n, end in (await self.ends(topic)).items()
        }

    async def ends(self, topic: str) -> dict[int, int]:
        return {n: len(self.pipeline.topics[topic, n]) for n in range(PARTITIONS)}

    async def committed(self, topic: str) -> dict[int, int]:
        return {n: part.committed[topic] for n, part in enumerate(self.pipeline.parts)}

    async def replayed(self, *_: object) -> dict[int, Done]:
        return dict.fromkeys(range(PARTITIONS), Done())

    async def read(
        self, topic: str, partition: int, start: int, end: int
    ) -> AsyncIterator[list[Any]]:
        yield self.pipeline.topics[topic, partition][start:end]

    async def replay(
        self, topic: str, partition: int, values: SpillMap, layout: StoreFormat
    ) -> bytes | None:
        state: PartitionState = getattr(self.pipeline.parts[partition], topic)
        assert layout.find_foreign is not None
        check_rows(dict(state.items()), layout.find_foreign)
        for key, value in state.items():
            if not is_sealed_key(key):
                values.put(id_key(int(key)), value)
        return state.get(LAYOUT_KEY)


class Silence:
    """A progress display that shows nothing."""

    def begin(self, *_: object) -> None:
        """Do nothing."""

    def advance(self, *_: object) -> None:
        """Do nothing."""


def report_of(topics: Any) -> Report:
    """Audit alone, and in shares; return the report of both."""

    async def run(folders: Sequence[Path], progress: Progress) -> None:
        for folder in folders:
            await count_share(folder, SETTINGS, topics, NAMES, TABLES, progress)

    def report_by(processes: Processes | None) -> Report:
        return asyncio.run(audit(SETTINGS, topics, NAMES, TABLES, Silence(), PLENTY, processes))

    report = report_by(None)
    report.differences.sort()
    in_shares = report_by(Processes(2, are_chosen=True, run=run))
    in_shares.differences.sort()
    assert in_shares == report
    return report


def send(pipeline: Pipeline, partition: int, user: int, number: int) -> None:
    """Send an event; everything but its partition follows from its user and number."""
    value = event(
        *(user, number % 3, T + number * 7 * SECOND, number),
        event_type=KINDS[number % len(KINDS)],
        metadata={"view_duration_ms": number},
    )
    pipeline.send(EVENTS, partition, OutRecord(b"k", value))


async def play(pipeline: Pipeline, script: list[tuple[Any, ...]]) -> None:
    for step in script:
        match step:
            case (partition, user, number):
                send(pipeline, partition, user, number)
            case ("process", partition, topic, count):
                await pipeline.process(partition, topic, count)
            case ("commit", partition):
                await pipeline.commit(partition)
            case ("crash", partition):
                await pipeline.crash(partition)
    await pipeline.finish()


numbers = st.integers(0, PARTITIONS - 1)
sends = st.tuples(numbers, st.integers(1, 4), st.integers(0, 18))
steps = st.one_of(
    sends,
    sends,
    sends,
    st.tuples(st.just("process"), numbers, st.sampled_from(SOURCES), st.integers(1, 10)),
    st.tuples(st.just("commit"), numbers),
    st.tuples(st.just("crash"), numbers),
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=st.lists(steps, min_size=20, max_size=60))
@pytest.mark.parametrize("copies", ["are there", "are gone", "have lost their order"])
def test_tables_that_are_right_pass_whatever_the_order_was(
    copies: str, script: list[tuple[Any, ...]]
) -> None:
    """Events come in any order, in any partition and again beyond the horizon."""
    with tempfile.TemporaryDirectory() as folder, Pipeline(Path(folder), SETTINGS) as pipeline:
        asyncio.run(play(pipeline, script))
        gone = {"are gone": REPARTITION, "have lost their order": ORDER}.get(copies)
        report = report_of(Topics(pipeline, **({gone: 10**9} if gone else {})))
        assert report.is_clean, [str(each) for each in report.differences]
        sent = len(pipeline.read(EVENTS)) + len(pipeline.read(REPARTITION))
        assert report.records == report.outcomes.total() == sent


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """Users 1 to 8, each with three events of its own in the first partition."""
    with Pipeline(tmp_path, SETTINGS) as pipeline:
        for user in range(1, 9):
            for number in (0, 1, 6):
                send(pipeline, 0, user, number)
        yield pipeline


def test_a_letter_of_another_program_is_noted_once(pipeline: Pipeline) -> None:
    asyncio.run(pipeline.finish())
    letter = OutRecord(b"k", b"", [("reason", b"future_timestamp")])
    pipeline.send(DEAD_LETTERS, 1, letter)
    (note,) = report_of(Topics(pipeline)).notes
    assert "is not a worker's dead letter" in note


@pytest.mark.parametrize("processes", [2, 1])
@pytest.mark.parametrize("events_each", [12, 13])
def test_processes_recount_what_is_large_enough(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, processes: int, events_each: int
) -> None:
    """24 events are in the input."""
    asyncio.run(pipeline.finish())
    monkeypatch.setitem(audit.__globals__, "RECORDS_PER_PROCESS", events_each)
    shares: list[int] = []

    async def run(folders: Sequence[Path], progress: Progress) -> None:
        shares.append(len(folders))
        for folder in folders:
            await count_share(folder, SETTINGS, topics, NAMES, TABLES, progress)

    topics: Any = Topics(pipeline)
    given = Processes(processes, are_chosen=False, run=run)
    asyncio.run(audit(SETTINGS, topics, NAMES, TABLES, Silence(), PLENTY, given))
    assert shares == ([2] if processes == 2 and events_each == 12 else [])


def test_an_event_that_was_passed_on_and_lost_is_a_difference(pipeline: Pipeline) -> None:
    asyncio.run(pipeline.process(0, EVENTS, 100))
    asyncio.run(pipeline.commit(0))
    lost = pipeline.topics[REPARTITION, 1].pop()
    asyncio.run(pipeline.finish())
    report = report_of(Topics(pipeline))
    assert report.differing["users"] == 1
    assert report.differences[0].what == f"user {lost.key.decode()}"
    (note,) = report.notes
    assert note.startswith("1 events that lay in the wrong partition")


def test_nothing_is_judged_of_an_input_that_was_deleted_as_a_whole(pipeline: Pipeline) -> None:
    """After a quiet weekend the tables still have the counts, and retention has no event left."""
    asyncio.run(pipeline.finish())
    report = report_of(Topics(pipeline, **{EVENTS: 10**9}))
    assert report.is_clean
    assert any("are not judged" in note for note in report.notes)


@pytest.mark.parametrize("begin", [0, 10**9], ids=["with copies", "without copies"])
def test_an_event_that_was_counted_twice_is_a_difference(pipeline: Pipeline, begin: int) -> None:
    """A second app on the same input once caused this: a copy, 42 s later than the event."""
    asyncio.run(pipeline.finish())
    (twice, *_) = pipeline.topics[REPARTITION, 1]
    copy = OutRecord(twice.key, twice.value, (), twice.timestamp)
    pipeline.send(REPARTITION, 1, copy)
    asyncio.run(pipeline.finish())
    topics = Topics(pipeline, **{REPARTITION: begin})
    if not begin:
        assert report_of(topics).is_clean, "a copy is a replay, as far as anybody knows"
    else:
        report = report_of(topics)
        assert report.differences[0].what == f"user {twice.key.decode()}"
