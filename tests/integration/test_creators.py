"""The table of creators on a real Kafka: answers of workers, findings of the audit, its start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.counters import CREATOR
from models.pane_windows import PaneWindows
from models.schema import Metadata
from models.windows import Slices, from_iso
from tests.integration import checks
from tests.integration.stream import START, event, send_stream, untidy_stream
from tests.oracle import HOUR, MINUTE, Rules
from tests.oracle_events import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster
    from tests.oracle import Oracle
    from tests.worker import Worker


@pytest.fixture(scope="module")
def applied(
    make_shared_cluster: Callable[..., Cluster],
) -> tuple[Cluster, tuple[Worker, Worker], Oracle]:
    """Two workers that have applied an untidy stream; the second joined in the middle of it."""
    cluster = make_shared_cluster()
    cluster.create_topic(cluster.events)
    stream = untidy_stream(20_000, seed=3)
    a, b = cluster.worker("a"), cluster.worker("b")
    a.start()
    send_stream(cluster, stream[:10_000])
    b.start()
    send_stream(cluster, stream[10_000:])
    cluster.wait_until_applied()
    for worker in (a, b):
        worker.wait_ready()
    return cluster, (a, b), checks.ask_oracle(cluster, Rules(cluster.partitions))


def test_every_creator_is_what_the_oracle_says_on_both_workers(
    applied: tuple[Cluster, tuple[Worker, Worker], Oracle],
) -> None:
    """Value by value: whole windows, smaller ones, and the series."""
    _, workers, oracle = applied
    creators = sorted(oracle.of_creator)
    for worker in workers:
        for window in (None, HOUR):
            checks.check_creators_over_http(worker, oracle, creators, window)
    busiest = max(creators, key=lambda each: oracle.creator(each, oracle.latest() or 0).views)
    series = workers[0].get(f"/creators/{busiest}/series")
    for pane in series["panes"]:
        at = from_iso(pane["start"])
        expected = oracle.creator(busiest, at, 15 * MINUTE)
        assert expected.start == at
        for name in ("views", "likes", "comments", "shares", "follows"):
            assert pane[name] == getattr(expected, name)
        assert pane["watch_ms"] == expected.watched


def test_the_audit_names_a_creator_who_is_wrong(
    applied: tuple[Cluster, tuple[Worker, Worker], Oracle],
) -> None:
    """An extra count in the changelog is found; without it nothing is. Ends the workers."""
    cluster, workers, oracle = applied
    for worker in workers:
        assert worker.terminate() == 0
    done = cluster.command("audit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"creators: {len(oracle.of_creator):,} compared, 0 differ" in done.stdout

    windows, now = PaneWindows(CREATOR, Slices(24 * HOUR, 15 * MINUTE)), oracle.latest()
    assert now is not None
    creator = max(oracle.of_creator, key=lambda each: oracle.creator(each, now).follows)
    right = cluster.replay(cluster.creator_changelog)[b"%d" % creator]
    follow = CREATOR.increments("follow", Metadata())
    wrong = windows.apply(right, now // (15 * MINUTE), follow, now)
    place = partition_of(creator, cluster.partitions)
    for value, code in ((wrong, 1), (right, 0)):
        with cluster.producer() as producer:
            producer.produce(cluster.creator_changelog, value, b"%d" % creator, place)
        done = cluster.command("audit")
        assert done.returncode == code, done.stdout + done.stderr
        assert (f"creator {creator}, step of " in done.stdout) == bool(code)
        assert f"creators: {len(oracle.of_creator):,} compared, {code} differ" in done.stdout


def test_an_app_gets_its_creators_by_a_restart(make_cluster: Callable[..., Cluster]) -> None:
    """They are counted from then on, and answers say since when, after a restore as well.

    ::

        START        +10min   restart   +20min  restart, no disk   +24h30m
        |-- no creators --|------ counted, since ... --------|------ counted, all of it --|
    """
    cluster = make_cluster(TOPIC_PARTITIONS=1)
    cluster.create_topic(cluster.events)
    numbers = iter(range(99))

    def send(t: int) -> None:
        with cluster.producer() as producer:
            producer.produce(cluster.events, event(1, 2, t, next(numbers), creator_id=3), b"1")
        cluster.wait_until_applied()

    without = cluster.worker(REELS_CREATORS="off").start()
    send(START + 10 * MINUTE)
    assert [status for status, _ in without.get_all(["/creators/3", "/users/1"])] == [404, 200]
    assert not cluster.has_topic(cluster.creator_changelog)
    assert not cluster.has_topic(cluster.creator_deltas)
    assert without.terminate() == 0

    since = START + 10 * MINUTE + 1
    worker = cluster.worker("b").start()
    send(START + 20 * MINUTE)
    found = worker.get("/creators/3")
    assert (found["views"], from_iso(found["complete_since"])) == (1, since)
    assert worker.terminate() == 0
    done = cluster.command("audit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "earlier events are not judged" in done.stdout

    restored = cluster.worker("c").start()
    restored.wait_ready()
    found = restored.get("/creators/3")
    assert (found["views"], from_iso(found["complete_since"])) == (1, since)
    send(START + 24 * HOUR + 30 * MINUTE)
    found = restored.get("/creators/3")
    assert (found["views"], found["complete_since"]) == (1, None)
