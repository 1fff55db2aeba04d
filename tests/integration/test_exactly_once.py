"""An untidy stream, workers that join and die: the result is the same as without faults.

::

    events    |- a third at once -|- a third at once -|------- a third, steadily -------|
    worker a            |-------------------------------------------X |-------------------->
    worker b                                |---------------------------------------------->
                                                                 kill -9
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from models.windows import from_iso
from tests.integration import checks
from tests.integration.stream import iso, send_stream, under_load, untidy_stream
from tests.oracle import HOUR, Rules
from tests.worker import wait_until, wait_until_equal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster
    from tests.oracle import Oracle
    from tests.worker import Worker

EVENTS = 300_000
PARTITIONS = 8
MIN_VIEWS = 300


class Run(NamedTuple):
    """A finished run: all is applied, both workers still answer."""

    cluster: Cluster
    workers: tuple[Worker, Worker]
    oracle: Oracle


@pytest.fixture(scope="module")
def run(make_shared_cluster: Callable[..., Cluster]) -> Run:
    cluster = make_shared_cluster(
        TOPIC_PARTITIONS=PARTITIONS, REELS_VIRAL_MIN_VIEWS=MIN_VIEWS, BROKER_SESSION_TIMEOUT=6
    )
    cluster.create_topic(cluster.events)
    stream = untidy_stream(EVENTS)
    assert len(stream) > EVENTS
    third = len(stream) // 3
    a, b = cluster.worker("a"), cluster.worker("b")

    send_stream(cluster, stream[:third])
    a.start()
    send_stream(cluster, stream[third : 2 * third])
    b.start()
    cluster.wait_until_applied(180)
    before = cluster.committed(cluster.events)
    with under_load(cluster, stream[2 * third :], rate=10_000) as load:
        wait_until(lambda: cluster.committed(cluster.events) != before, "a commit in the middle")
        a.kill()
        assert not load.done(), "the kill has to fall into the middle"
        a.start()
    cluster.wait_until_applied(180)

    oracle = checks.ask_oracle(cluster, Rules(PARTITIONS, viral_min_views=MIN_VIEWS))
    for worker in (a, b):
        worker.wait_ready()
    return Run(cluster, (a, b), oracle)


def test_the_stream_holds_all_that_can_become_of_an_event(run: Run) -> None:
    assert run.oracle.outcomes.keys() == {"applied", "duplicate", "late", "rejected", "rekeyed"}
    assert {letter.reason for letter in run.oracle.dead_letters} == {
        *("malformed_json", "not_an_object", "missing_field", "invalid_field"),
        *("unknown_event_type", "too_large", "future_timestamp", "late"),
    }
    assert run.oracle.outcomes.total() > EVENTS
    assert run.oracle.viral(run.oracle.latest() or 0)


def test_each_reject_is_in_the_dead_letter_topic_once_byte_by_byte(run: Run) -> None:
    checks.check_dead_letters(run.cluster, run.oracle)


def test_the_changelogs_replayed_by_hand_hold_what_was_sent(run: Run) -> None:
    checks.check_changelogs(run.cluster, run.oracle)


def test_every_user_answers_over_http_whichever_worker_is_asked(run: Run) -> None:
    users = sorted(run.oracle.of_user)
    checks.check_users_over_http(run.workers[0], run.oracle, users)
    checks.check_users_over_http(run.workers[1], run.oracle, users[::10])


def test_a_shorter_window_is_the_latest_part_of_the_whole_one(run: Run) -> None:
    users = sorted(run.oracle.of_user)
    for window in (HOUR, 24 * HOUR):
        checks.check_users_over_http(run.workers[0], run.oracle, users[::20], window)


def test_a_later_time_may_be_asked_for_and_an_earlier_one_is_refused(run: Run) -> None:
    oracle = run.oracle
    worker = run.workers[0]
    latest = max(oracle.of_user, key=lambda user: oracle.user(user, oracle.as_of(user) or 0).views)
    as_of = oracle.as_of(latest)
    assert as_of is not None
    later = as_of + 5 * HOUR
    found = worker.get(f"/users/{latest}?at={iso(later)}")
    assert from_iso(found["as_of"]) == later
    assert found["total_videos_watched"] == oracle.user(latest, later).views
    earlier = iso(as_of - 24 * HOUR)
    ((status, answer),) = worker.get_all([f"/users/{latest}?at={earlier}"])
    assert (status, answer["error"]["code"]) == (400, "window_not_kept")


def test_every_video_answers_over_http_whichever_worker_is_asked(run: Run) -> None:
    videos = sorted(run.oracle.of_video)
    checks.check_videos_over_http(run.workers[0], run.oracle, videos)
    checks.check_videos_over_http(run.workers[1], run.oracle, videos[::10])


def test_every_creator_answers_over_http_whichever_worker_is_asked(run: Run) -> None:
    creators = sorted(run.oracle.of_creator)
    assert len(creators) > 5
    for window in (None, HOUR):
        for worker in run.workers:
            checks.check_creators_over_http(worker, run.oracle, creators, window)


def test_the_viral_list_is_the_same_on_both_workers(run: Run) -> None:
    expected = checks.viral_rows(run.oracle.viral(run.oracle.latest() or 0))
    for worker in run.workers:
        wait_until_equal(partial(checks.viral_list, worker), expected)


def test_the_viral_topic_names_the_viral_videos_with_their_counts(run: Run) -> None:
    expected = checks.viral_topic_of(run.oracle.viral(run.oracle.latest() or 0))
    wait_until_equal(lambda: checks.viral_topic(run.cluster), expected)


def test_in_the_end_the_databases_on_disk_are_the_changelogs(run: Run) -> None:
    """The last test, because it ends the workers."""
    for worker in run.workers:
        assert worker.terminate() == 0
    checks.check_changelogs(run.cluster, run.oracle)
    checks.check_databases(run.cluster, [worker.data_dir for worker in run.workers])
