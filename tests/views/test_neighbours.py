"""Workers know which others left, which were lost, and which have different rules."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from monitoring import metrics
from monitoring.metrics import registry
from views.application import NEIGHBOURS

if TYPE_CHECKING:
    from tests.views.conftest import MakeWorker, Worker


TOKEN = "a-token-of-some-length"


async def two_workers(
    make_worker: MakeWorker,
    first_rules: dict[str, str] | None = None,
    second_rules: dict[str, str] | None = None,
    /,
    **environ: str,
) -> list[Worker]:
    """Two workers that know of each other."""
    pair = []
    for name, rules in (("aaaa", first_rules), ("bbbb", second_rules)):
        worker = await make_worker(**environ, **(rules or {}))
        worker.status.worker_id = name
        pair.append(worker)
    owners = {f"{each.url}#{each.status.worker_id}": [n] for n, each in enumerate(pair)}
    for worker in pair:
        worker.owns(owners)
    return pair


def roster_of(worker: Worker) -> dict[str, str]:
    worker.application[NEIGHBOURS].refresh()
    return {each.id: each.how for each in worker.application[NEIGHBOURS].roster.departed}


@pytest.mark.parametrize("environ", [{}, {"REELS_HTTP_TOKEN": TOKEN}])
async def test_one_that_says_farewell_has_left(
    make_worker: MakeWorker, environ: dict[str, str]
) -> None:
    first, second = await two_workers(make_worker, **environ)
    assert roster_of(first) == roster_of(second) == {}
    await second.application[NEIGHBOURS].say_farewell()
    first.owns({f"{first.url}#aaaa": [0, 1]})
    assert roster_of(first) == {"bbbb": "left"}
    assert registry.get_sample_value("reels_workers") == 1
    assert registry.get_sample_value("reels_workers_lost") == 0


async def test_one_that_does_not_is_lost_and_counted_until_it_is_back(
    make_worker: MakeWorker,
) -> None:
    first, second = await two_workers(make_worker)
    assert roster_of(first) == {}
    first.owns({f"{first.url}#aaaa": [0, 1]})
    assert roster_of(first) == {"bbbb": "lost"}
    assert registry.get_sample_value("reels_workers_lost") == 1
    first.owns({f"{first.url}#aaaa": [0], f"{second.url}#bbbb": [1]})
    assert roster_of(first) == {}
    assert registry.get_sample_value("reels_workers_lost") == 0


async def test_nobody_who_asks_without_the_token_can_say_farewell_for_another(
    make_worker: MakeWorker,
) -> None:
    first, _ = await two_workers(make_worker, REELS_HTTP_TOKEN=TOKEN)
    assert roster_of(first) == {}
    answer = await first.ask("/overview", headers={"X-Reels-Leaving": "bbbb"})
    assert answer.status == 401
    first.owns({f"{first.url}#aaaa": [0, 1]})
    assert roster_of(first) == {"bbbb": "lost"}


async def test_other_rules_are_warned_of_once_by_name_and_counted(
    make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    rules = {"REELS_VIRAL_COEFFICIENT": "2", "REELS_DEDUP_HORIZON": "2h"}
    first, second = await two_workers(make_worker, None, rules)
    neighbours = first.application[NEIGHBOURS]
    neighbours.refresh()
    with caplog.at_level(logging.WARNING, "views.neighbours"):
        for _ in range(2):
            neighbours._asked.clear()
            await neighbours._compare_rules()
    ((line,),) = ([r.getMessage() for r in caplog.records if str(second.url) in r.getMessage()],)
    assert line == (
        f"{second.url} counts by different rules: REELS_DEDUP_HORIZON is 2h there, 1h here, "
        "REELS_VIRAL_COEFFICIENT is 2.0 there, 1.5 here. Give all workers of an app the same "
        "settings"
    )
    assert registry.get_sample_value("reels_workers_with_other_rules") == 1
    assert (await first.ask("/overview")).json["rules"]["REELS_VIRAL_COEFFICIENT"] == "1.5"


async def test_the_same_rules_are_no_news(
    make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = await two_workers(make_worker)
    neighbours = first.application[NEIGHBOURS]
    neighbours.refresh()
    await neighbours._compare_rules()
    assert str(second.url) in neighbours._asked
    assert "different rules" not in caplog.text
    assert metrics.workers_with_other_rules._value.get() == 0


async def test_who_does_not_answer_keeps_no_farewell_waiting(make_worker: MakeWorker) -> None:
    first, second = await two_workers(make_worker)
    assert roster_of(first) == {}
    await second.listener.stop()
    async with asyncio.timeout(5):
        await first.application[NEIGHBOURS].say_farewell()
