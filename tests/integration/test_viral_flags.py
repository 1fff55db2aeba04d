"""Videos become viral and stop being viral through events, and through time alone."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.integration import checks
from tests.integration.stream import START, event
from tests.oracle import SECOND, Rules
from tests.worker import wait_until, wait_until_equal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.cluster import Cluster
    from tests.worker import Worker


VIDEO, OTHER = 77, 78
WINDOW = 10
SMALL = {"REELS_VIDEO_WINDOW": f"{WINDOW}s", "REELS_VIDEO_STEP": "1s", "REELS_VIRAL_MIN_VIEWS": 10}
RULES = Rules(4, video_window=WINDOW * SECOND, video_step=SECOND, viral_min_views=10)
#: On a step boundary, so that timelines are easy to draw.
T = START // 1000 * 1000


def engagement(
    video: int, t: int, *, views: int = 0, shares: int = 0, name: str = "x"
) -> list[tuple[int, bytes]]:
    """Return views and shares of a video at one time, each by another user."""
    types = ["video_view"] * views + ["share"] * shares
    return [
        (user, event(user, video, t, f"{name}-{video}-{t}-{user}", event_type=event_type))
        for user, event_type in enumerate(types)
    ]


def send_events(cluster: Cluster, events: Iterable[tuple[int, bytes]]) -> None:
    with cluster.producer() as producer:
        for user, value in events:
            producer.produce(cluster.events, value, b"%d" % user)
    cluster.wait_until_applied()


def expect_oracles_list(cluster: Cluster, *workers: Worker) -> set[int]:
    """Wait until list and topic match the oracle, and return the viral videos."""
    oracle = checks.ask_oracle(cluster, RULES)
    viral = oracle.viral(oracle.latest() or 0)
    for worker in workers:
        wait_until_equal(partial(checks.viral_list, worker), checks.viral_rows(viral))
    wait_until_equal(lambda: checks.viral_topic(cluster), checks.viral_topic_of(viral))
    return set(viral)


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_cluster(**SMALL, BROKER_SESSION_TIMEOUT=6)
    cluster.create_topic(cluster.events)
    return cluster


def test_later_events_of_other_videos_end_a_flag(cluster: Cluster) -> None:
    """::

    T               T+9         T+10
    |-- viral -------|-- viral --|-- no more: the step of T has left the window
    """
    worker = cluster.worker().start()
    send_events(cluster, engagement(VIDEO, T, views=10, shares=16))
    assert expect_oracles_list(cluster, worker) == {VIDEO}
    send_events(cluster, engagement(OTHER, T + 9 * SECOND, views=1))
    assert expect_oracles_list(cluster, worker) == {VIDEO}
    assert worker.get(f"/videos/{VIDEO}")["viral"] is True
    send_events(cluster, engagement(OTHER, T + 10 * SECOND, views=1))
    assert expect_oracles_list(cluster, worker) == set()
    assert worker.metrics()["reels_viral_videos"] == 0


def test_a_window_without_any_event_ends_a_flag(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    send_events(cluster, engagement(VIDEO, T, views=10, shares=16))
    began = time.monotonic()
    assert expect_oracles_list(cluster, worker) == {VIDEO}
    wait_until(lambda: checks.viral_list(worker) == [], "the flag ends", WINDOW + 10)
    assert time.monotonic() - began > WINDOW - 2
    assert cluster.replay(cluster.viral) == {}


def test_exactly_the_coefficient_is_not_viral_and_one_share_more_is(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    send_events(cluster, engagement(VIDEO, T, views=10, shares=15))
    send_events(cluster, engagement(OTHER, T, views=9, shares=90))
    assert expect_oracles_list(cluster, worker) == set()
    send_events(cluster, [(99, event(99, VIDEO, T, "last", event_type="share"))])
    assert expect_oracles_list(cluster, worker) == {VIDEO}


def test_a_video_may_turn_viral_because_old_views_leave_the_window(cluster: Cluster) -> None:
    """::

    T                  T+5                         T+10
    |-- 100 views ------|-- 20 views, 40 shares ----|-- viral: 20 views, 40 shares
    """
    worker = cluster.worker().start()
    send_events(cluster, engagement(VIDEO, T, views=100))
    send_events(cluster, engagement(VIDEO, T + 5 * SECOND, views=20, shares=40))
    assert expect_oracles_list(cluster, worker) == set()
    send_events(cluster, engagement(OTHER, T + 10 * SECOND, views=1))
    assert expect_oracles_list(cluster, worker) == {VIDEO}


def test_a_flag_outlives_a_crash_with_its_time_and_still_ends(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    send_events(cluster, engagement(VIDEO, T, views=10, shares=20))
    assert expect_oracles_list(cluster, worker) == {VIDEO}
    (before,) = worker.get("/videos/viral")["videos"]
    worker.kill()
    worker.start()
    send_events(cluster, engagement(VIDEO, T + 2 * SECOND, views=1, name="more"))
    assert expect_oracles_list(cluster, worker) == {VIDEO}
    (after,) = worker.get("/videos/viral")["videos"]
    assert after["views"] == before["views"] + 1
    assert after["detected_at"] == before["detected_at"]
    send_events(cluster, engagement(OTHER, T + 20 * SECOND, views=1))
    assert expect_oracles_list(cluster, worker) == set()


def test_a_flag_ends_although_its_worker_is_gone(cluster: Cluster) -> None:
    first, second = cluster.worker("a").start(), cluster.worker("b").start()
    send_events(cluster, engagement(VIDEO, T, views=10, shares=16))
    assert expect_oracles_list(cluster, first, second) == {VIDEO}
    first.kill()
    send_events(cluster, engagement(OTHER, T + 20 * SECOND, views=1))
    assert expect_oracles_list(cluster, second) == set()
