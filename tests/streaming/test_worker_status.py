"""A worker's status reports the state of its engine."""

from __future__ import annotations

from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio
from yarl import URL

from bootstrap import create_app
from settings import load
from streaming.runtime.status import AppStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from streaming.runtime.app import App
    from streaming.runtime.topic_watch import TopicWatch
    from streaming.tasks.task import Task


@pytest_asyncio.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """Return an app before its worker starts, without a broker."""
    app = create_app(load({"APP_DATADIR": str(tmp_path), "TOPIC_PARTITIONS": "4"}))
    yield app
    await app.tables.recovery.viral_follower.stop()
    if app._consumer is not None:
        # The thread never ran, so nothing else closes its loop.
        app.consumer._thread.thread_loop.close()


@pytest.fixture
def status(app: App) -> AppStatus:
    return AppStatus(app)


def task(*, accepting: bool = True, stalled: str | None = None, waiting_s: float = 0.0) -> Task:
    found = SimpleNamespace(
        accepting=accepting, stall_reason=lambda _: stalled, uncommitted_seconds=waiting_s
    )
    return cast("Task", found)


async def test_a_worker_that_has_not_begun_can_be_asked_everything(
    status: AppStatus, tmp_path: Path
) -> None:
    """Views answer before the brokers do."""
    assert (status.assigned(), status.open(), status.owners()) == (set(), set(), {})
    assert (status.lag_s(), status.uncommitted_s()) == ({}, {})
    assert not status.has_joined()
    assert not status.is_viral_list_complete()
    assert status.stop_reason() is None
    assert status.group_refusal() is None
    assert status.topic_obstacle() is None
    assert status.stall_reason(60.0) is None
    assert (status.partitions, status.worker_id) == (4, "")
    assert status.data_dir.is_relative_to(tmp_path)


async def test_a_partition_is_open_while_its_task_accepts(app: App, status: AppStatus) -> None:
    """A partition with a task that does not accept batches, or without one, is not open."""
    app.tasks.registry.assign({0, 1, 2}, 1)
    app.tasks.registry.tasks |= {0: task(waiting_s=2.5), 1: task(accepting=False)}
    assert status.assigned() == {0, 1, 2}
    assert status.open() == {0}
    assert status.uncommitted_s() == {0: 2.5}


async def test_a_stalled_task_or_an_ended_commit_loop_is_told(
    app: App, status: AppStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first reason found is reported."""
    monkeypatch.setattr(type(app.tasks.committer), "has_ended", True)
    assert status.stall_reason(60.0) == "commits have ended"
    app.tasks.registry.tasks |= {0: task(), 1: task(stalled="partition 1 is stuck")}
    assert status.stall_reason(60.0) == "partition 1 is stuck"


async def test_the_age_of_a_fetch_counts_from_its_begin(app: App, status: AppStatus) -> None:
    """A fetch that hangs ages."""
    app.consumer.fetching_since = monotonic() - 100.0
    assert status.fetch_age_s() >= 100.0


async def test_a_worker_that_has_joined_says_so_until_it_stops(app: App, status: AppStatus) -> None:
    """Recovery, the viral list, a rebalance and the stop all show in the status."""
    app.tables.recovery.completed.set()
    app.rebalancing = True
    follower = app.tables.recovery.viral_follower
    await follower.follow({})
    await follower.wait_caught_up()
    assert status.has_joined()
    assert status.is_rebalancing()
    assert status.is_viral_list_complete()

    app._stopped.set()
    assert status.stop_reason() == "the worker is stopping"
    app.given_up = "the disk is full"
    assert status.stop_reason() == "the disk is full"


async def test_owners_topics_and_addresses_are_those_of_the_group(
    app: App, status: AppStatus
) -> None:
    """The assignment, the topic check and the address are returned unchanged."""
    owners = {"http://a:6066#id": {"reels-user_metrics-changelog": [0, 1]}}
    app.assignor.changelog_distribution = owners
    watch = SimpleNamespace(obstacle="topic t has 5 partitions")
    app.topic_watch = cast("TopicWatch", watch)
    app.conf.canonical_url = URL("http://a:6066")
    app.tasks.lag.seconds = {0: 3.0}
    assert status.owners() == owners
    assert status.topic_obstacle() == "topic t has 5 partitions"
    assert status.url == URL("http://a:6066")
    assert status.lag_s() == {0: 3.0}
