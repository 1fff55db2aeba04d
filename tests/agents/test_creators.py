"""The table of creators, and the time from which it reports complete counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from models.counters import CREATOR
from models.pane_windows import PaneWindows
from models.windows import Slices
from streaming.kafka.records import OutRecord
from tests.agents.pipeline import CREATOR_DELTAS, EVENTS, Pipeline, make_settings
from tests.integration.stream import START, event
from tests.oracle import HOUR, MINUTE
from tests.oracle_events import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from settings import Settings


T = START // HOUR * HOUR
WINDOWS = PaneWindows(CREATOR, Slices(24 * HOUR, 15 * MINUTE))
PARTITIONS = 2
#: One user per partition.
USERS = [
    next(user for user in range(100) if partition_of(user, PARTITIONS) == number)
    for number in range(PARTITIONS)
]


def settings(creators: str = "on", accelerator: str = "auto") -> Settings:
    return make_settings(
        TOPIC_PARTITIONS=PARTITIONS, REELS_CREATORS=creators, REELS_ACCELERATOR=accelerator
    )


@pytest.fixture(params=["on", "off"])
def accelerator(request: pytest.FixtureRequest) -> str:
    form: str = request.param
    return form


@pytest.fixture
def make(tmp_path: Path, accelerator: str) -> Iterator[Callable[..., Pipeline]]:
    """Return a factory of pipelines with creators or without."""
    open_now: list[Pipeline] = []

    def make_pipeline(creators: str = "on") -> Pipeline:
        open_now.append(Pipeline(tmp_path, settings(creators, accelerator)))
        return open_now[-1]

    yield make_pipeline
    for pipeline in open_now:
        pipeline.__exit__()


def send(
    pipeline: Pipeline,
    number: object,
    t: int,
    creator_id: object = 5,
    source: int = 0,
    **changes: Any,
) -> None:
    value = event(USERS[source], 1, t, number, creator_id=creator_id, **changes)
    pipeline.send(EVENTS, source, OutRecord(b"%d" % USERS[source], value))


async def restart(pipeline: Pipeline, creators: str, accelerator: str) -> None:
    for part in pipeline.parts:
        await part.restart(settings(creators, accelerator))


def views(pipeline: Pipeline, creator_id: int = 5, at: int = T + HOUR) -> int:
    return WINDOWS.rolling(pipeline.values("creators").get(b"%d" % creator_id), at).views


def complete_from(pipeline: Pipeline) -> list[int]:
    return [part.creators.complete_from for part in pipeline.parts]


async def test_a_hot_video_costs_its_creator_one_row_a_commit(
    make: Callable[..., Pipeline],
) -> None:
    """Sums by creator and pane are sent, not events; each partition of creators gets one record."""
    pipeline = make()
    pipeline.is_one_worker = False
    for number in range(50):
        send(pipeline, number, T)
    await pipeline.process(0, EVENTS, 50)
    await pipeline.commit(0)
    records = [len(pipeline.topics[CREATOR_DELTAS, n]) for n in range(PARTITIONS)]
    assert records == [1, 1], "one with the row, and a heartbeat"
    await pipeline.finish()
    assert views(pipeline) == 50


@pytest.mark.parametrize("creator_id", [None, -1, 2**63, True, 1.0, "5"])
async def test_an_event_without_a_right_creator_counts_for_nobody(
    make: Callable[..., Pipeline], creator_id: bool | float | str | None
) -> None:
    """It still counts for its user and its video."""
    pipeline = make()
    send(pipeline, 1, T, creator_id=creator_id)
    await pipeline.finish()
    assert not pipeline.values("creators")
    assert len(pipeline.values("users")) == len(pipeline.values("videos")) == 1


async def test_an_app_that_was_built_with_creators_counts_them_from_its_beginning(
    make: Callable[..., Pipeline],
) -> None:
    """Restarts do not change that, because earlier counts were sent."""
    pipeline = make()
    for source in range(PARTITIONS):
        send(pipeline, 1, T, source=source)
    await pipeline.finish()
    for number in range(PARTITIONS):
        await pipeline.crash(number)
    send(pipeline, 2, T + MINUTE)
    await pipeline.finish()
    assert complete_from(pipeline) == [0, 0]
    assert views(pipeline) == 3


async def test_without_creators_nothing_is_sent_for_them(make: Callable[..., Pipeline]) -> None:
    """REELS_CREATORS=off omits their sums as well."""
    pipeline = make("off")
    send(pipeline, 1, T)
    await pipeline.finish()
    assert not pipeline.read(CREATOR_DELTAS)


async def test_creators_who_come_later_are_counted_from_then_on(
    make: Callable[..., Pipeline], accelerator: str
) -> None:
    """Counts are complete from the latest stream time of the sources on; a new source has none."""
    pipeline = make("off")
    send(pipeline, 1, T)
    send(pipeline, 2, T + 20 * MINUTE, source=1)
    await pipeline.finish()
    await restart(pipeline, "on", accelerator)
    send(pipeline, 3, T + 30 * MINUTE)
    await pipeline.finish()
    assert views(pipeline) == 1
    assert complete_from(pipeline) == [T + 20 * MINUTE + 1] * PARTITIONS


async def test_since_when_creators_are_counted_is_not_lost(
    make: Callable[..., Pipeline], accelerator: str
) -> None:
    """Neither a crash after the claim, before the first commit nor after it loses the time."""
    pipeline = make("off")
    send(pipeline, 1, T)
    await pipeline.finish()
    await restart(pipeline, "on", accelerator)
    for number in range(PARTITIONS):
        await pipeline.claim(number)
        await pipeline.crash(number)
    send(pipeline, 2, T + MINUTE)
    await pipeline.process(0, EVENTS, 1)
    await pipeline.crash(0)
    await pipeline.finish()
    for number in range(PARTITIONS):
        await pipeline.crash(number)
    send(pipeline, 3, T + 2 * MINUTE)
    await pipeline.finish()
    assert complete_from(pipeline) == [T + 1] * PARTITIONS
    assert views(pipeline) == 2


async def test_the_table_is_told_even_when_nothing_more_comes(
    make: Callable[..., Pipeline], accelerator: str
) -> None:
    """A source that stays silent after the restart may have counted before it."""
    pipeline = make("off")
    send(pipeline, 1, T)
    await pipeline.finish()
    await restart(pipeline, "on", accelerator)
    assert pipeline.parts[0].engagement.has_pending()
    await pipeline.finish()
    assert not pipeline.parts[0].engagement.has_pending()
    assert complete_from(pipeline) == [T + 1] * PARTITIONS


async def test_a_time_without_creators_makes_a_new_beginning(
    make: Callable[..., Pipeline], accelerator: str
) -> None:
    """On, off and on again: the events in between are missing, and the answers say so."""
    pipeline = make()
    send(pipeline, 1, T)
    await pipeline.finish()
    await restart(pipeline, "off", accelerator)
    send(pipeline, 2, T + 10 * MINUTE)
    await pipeline.finish()
    await restart(pipeline, "on", accelerator)
    send(pipeline, 3, T + 20 * MINUTE)
    await pipeline.finish()
    assert views(pipeline) == 2
    assert complete_from(pipeline) == [T + 10 * MINUTE + 1] * PARTITIONS


async def test_a_time_without_creators_in_which_nothing_came_changes_nothing(
    make: Callable[..., Pipeline], accelerator: str
) -> None:
    """In that case nothing is missing."""
    pipeline = make()
    send(pipeline, 1, T)
    await pipeline.finish()
    for creators in ("off", "on"):
        await restart(pipeline, creators, accelerator)
        await pipeline.finish()
    assert complete_from(pipeline) == [0, 0]
