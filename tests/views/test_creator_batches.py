"""``POST /creators/query`` and ``GET /creators?ids=``: creators as single reads answer them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from models.schema import Metadata
from models.windows import from_iso
from views.arrow import MEDIA

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from tests.views.conftest import Answer, MakeWorker, Worker


SINCE = "2025-01-15T12:15:00Z"
BEFORE = ("video_view", "2025-01-15T12:00:00Z", Metadata(60_000))
EVENTS = [
    ("video_view", "2025-01-15T14:30:45Z", Metadata(45_000, 0.5)),
    *((kind, "2025-01-15T14:31:00Z", Metadata()) for kind in ("like", "comment", "share")),
    ("follow", "2025-01-15T14:32:00Z", Metadata()),
]


def batch(worker: Worker, ids: Iterable[int], **fields: str | bool) -> Coroutine[Any, Any, Answer]:
    return worker.ask("/creators/query", "POST", json={"ids": list(ids), **fields})


def creators_of(worker: Worker, partition: int, count: int = 1) -> list[int]:
    keys = (key for key in range(10_000) if worker.creators.partition(key) == partition)
    return [next(keys) for _ in range(count)]


@pytest.mark.parametrize("form", ["off", "on"])
async def test_rows_are_those_of_single_reads_in_the_order_asked(
    make_worker: MakeWorker, form: str
) -> None:
    """In the plain and the compiled form; an id that is asked for twice is answered once."""
    worker = await make_worker(REELS_ACCELERATOR=form)
    await worker.open()
    worker.put_creator(5, BEFORE, *EVENTS)
    worker.put_creator(2**63 - 1, *EVENTS)
    answer = await batch(worker, [2**63 - 1, 7, 5, 5, 6])
    singles = [(await worker.ask(f"/creators/{key}")).json for key in (2**63 - 1, 5)]
    assert answer.json == {"creators": singles, "unknown": [7, 6], "unavailable": []}
    assert list(answer.json["creators"][0]) == list(singles[0])


@pytest.mark.parametrize(
    "fields", [{"window": "1h"}, {"at": "2025-01-16T12:15:00Z"}, {"window": "30m", "at": SINCE}]
)
async def test_a_window_and_a_time_are_those_of_single_reads(
    worker: Worker, fields: dict[str, str]
) -> None:
    """In a body and in a query."""
    worker.put_creator(1, BEFORE, *EVENTS)
    query = "&".join(f"{name}={value}" for name, value in fields.items())
    single = (await worker.ask(f"/creators/1?{query}")).json
    assert (await batch(worker, [1], **fields)).json["creators"] == [single]
    assert (await worker.ask(f"/creators?ids=1&{query}")).json["creators"] == [single]


async def test_rows_say_since_when_all_is_counted_as_single_reads_do(worker: Worker) -> None:
    """Per partition: the other one has counted from the beginning."""
    (young,), (old,) = creators_of(worker, 0), creators_of(worker, 1)
    for key in (young, old):
        worker.put_creator(key, BEFORE, *EVENTS)
    worker.creators.state(young).complete_from = from_iso(SINCE)
    for fields, expected in ({}, [SINCE, None]), ({"window": "1h"}, [None, None]):
        rows = (await batch(worker, [young, old], **fields)).json["creators"]
        assert [row["complete_since"] for row in rows] == expected
        query = "&".join(f"{name}={value}" for name, value in fields.items())
        assert rows == [(await worker.ask(f"/creators/{key}?{query}")).json for key in (young, old)]


async def test_a_copy_says_since_when_it_counts(worker: Worker) -> None:
    """The copy knows this from what was committed."""
    (key,) = creators_of(worker, 0)
    worker.put_creator(key, BEFORE, *EVENTS)
    state = worker.creators.state(key)
    state.complete_from = from_iso(SINCE)
    state.freeze()
    state.post_commit(1)
    await state.flush()
    state.readable = False
    refused = await batch(worker, [key])
    assert refused.json == {"creators": [], "unknown": [], "unavailable": [key]}
    assert refused.headers["Retry-After"] == "1"
    single = (await worker.ask(f"/creators/{key}?stale=ok")).json
    assert (single["stale"], single["complete_since"]) == (True, SINCE)
    assert (await batch(worker, [key], stale=True)).json["creators"] == [single]
    assert (await worker.ask(f"/creators?ids={key}&stale=ok")).json["creators"] == [single]


async def test_requests_are_counted_as_those_of_other_tables(worker: Worker) -> None:
    """In the figures and in the metrics of batches."""
    worker.put_creator(1, *EVENTS)
    before = (await worker.ask("/overview")).json["reads"]
    await batch(worker, [1, 2, 3])
    await worker.ask("/creators/1")
    after = (await worker.ask("/overview")).json["reads"]
    assert [after[name] - before[name] for name in ("requests", "keys")] == [2, 4]
    text = (await worker.ask("/metrics")).body.decode()
    assert 'reels_batch_keys_total{outcome="unknown",table="creators"}' in text


@pytest.mark.parametrize("accept", ["application/json", MEDIA])
async def test_without_creators_there_are_no_such_routes(
    make_worker: MakeWorker, accept: str
) -> None:
    """REELS_CREATORS=off: both routes answer as the single route does."""
    worker = await make_worker(REELS_CREATORS="off")
    await worker.open()
    headers = {"Accept": accept}
    single = await worker.ask("/creators/3", headers=headers)
    answers = [
        await worker.ask("/creators/query", "POST", json={"ids": [3]}, headers=headers),
        await worker.ask("/creators?ids=3", headers=headers),
    ]
    assert (single.status, single.code) == (404, "not_found")
    assert [(each.status, each.json) for each in answers] == [(404, single.json)] * 2
