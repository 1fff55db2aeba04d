"""All tables moved to another number of partitions: exact, whatever happens meanwhile."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from models.windows import from_iso, to_iso
from tests.cluster import Cluster
from tests.faults.aftermath import QUICK
from tests.faults.small_disk import kafka_on_small_disk
from tests.integration.stream import START, event, send_stream, untidy_stream
from tests.oracle import MINUTE
from tests.oracle_events import partition_of
from tests.worker import ROOT, wait_until_equal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.worker import Json, Worker


pytestmark = pytest.mark.faults

OLD = 4


def moved(cluster: Cluster, partitions: int, **settings: str | int) -> Cluster:
    """Return the same program after a move."""
    chosen: dict[str, Any] = {**QUICK, "TOPIC_PARTITIONS": partitions, **settings}
    new = Cluster(cluster.bootstrap, cluster.folder, f"{cluster.app_id}-{partitions}", **chosen)
    for name, variable in (
        ("events", "REELS_EVENTS_TOPIC"),
        ("dead_letters", "REELS_DEAD_LETTER_TOPIC"),
    ):
        setattr(new, name, getattr(cluster, name))
        new.environment[variable] = cluster.environment[variable]
    return new


def rescale(cluster: Cluster, *words: str, **settings: str) -> str:
    done = cluster.command("rescale", *words, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(cluster: Cluster, *words: str, **settings: str) -> str:
    done = cluster.command("rescale", *words, **settings)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def answers(
    worker: Worker, users: Iterable[int], videos: Iterable[int], at: str
) -> dict[str, tuple[int, Json]]:
    """Return the answers per key at a time, without the fields that a move may change."""
    paths = [f"/users/{each}?at={at}" for each in users]
    paths += [f"/videos/{each}?at={at}" for each in videos]
    return dict(zip(paths, worker.get_all(paths), strict=True))


def outcomes(worker: Worker) -> dict[str, float]:
    names = ("applied", "duplicate", "late", "rejected")
    metrics = worker.metrics()
    return {name: metrics[f'reels_events_total{{outcome="{name}"}}'] for name in names}


def latest(worker: Worker, users: Iterable[int]) -> str:
    found = worker.get_all([f"/users/{each}" for each in users])
    return to_iso(max(from_iso(answer["as_of"]) for status, answer in found if status == 200))


def send(cluster: Cluster, events: Iterable[tuple[int, bytes]], partitions: int) -> None:
    with cluster.producer() as producer:
        for user, value in events:
            home = partition_of(user, partitions)
            producer.produce(cluster.events, value, b"%d" % user, home)


def test_answers_stay_and_duplicates_stay_duplicates_when_partitions_are_added(
    make_cluster: Callable[..., Cluster],
) -> None:
    """From 4 to 6 partitions: different stream times are mixed, and some events are unread.

    ::

        minutes      0 ..... 5 ................................ 50
        partition 3  |events |
        the others   |events                                     |    horizon: 10 minutes
    """
    settings = {**QUICK, "REELS_DEDUP_HORIZON": "10m"}
    cluster = make_cluster(**settings, TOPIC_PARTITIONS=OLD)
    cluster.create_topic(cluster.events)
    users, videos = range(1, 61), range(1, 8)
    events = []
    for minute in range(51):
        for user in users:
            if (partition_of(user, OLD) == 3) <= (minute <= 5) and (minute + user) % 3 == 0:
                t = START + minute * MINUTE + user
                number = f"{user}-{minute}"
                events.append((minute, user, event(user, 1 + user % 7, t, number)))
    worker = cluster.worker().start()
    send(cluster, [each[1:] for each in events], OLD)
    # More ids than a value holds, so some are sealed.
    busy = [
        (user, event(user, 1, START + minute * MINUTE, f"busy-{user}-{n}"))
        for user, minute in ((2, 49), (1, 4))
        for n in range(60)
    ]
    assert (partition_of(2, OLD), partition_of(1, OLD)) == (0, 3)
    send(cluster, busy, OLD)
    cluster.wait_until_applied()
    at = latest(worker, users)
    before = answers(worker, users, videos, at)
    assert worker.terminate() == 0

    unread = [(user, event(user, 3, START + 51 * MINUTE, f"unread-{user}")) for user in users]
    assert "from: " in rescale(cluster, "--partitions", "6", "--dry-run")
    assert moved(cluster, 6).events in rescale(cluster, "--partitions", "6", "--alter-input")
    new = moved(cluster, 6, REELS_DEDUP_HORIZON="10m")
    worker = new.worker("new").start()
    assert answers(worker, users, videos, at) == before

    again = [each[1:] for each in events if partition_of(each[1], OLD) == 3 or each[0] > 40]
    send(new, again + busy, 6)
    new.wait_until_applied()
    expected = {"applied": 0, "duplicate": len(again + busy), "late": 0, "rejected": 0}
    assert outcomes(worker) == expected
    assert answers(worker, users, videos, at) == before

    # As sent by producers that do not know of the new partitions yet.
    send(new, unread, OLD)
    new.wait_until_applied()
    assert outcomes(worker) == {**expected, "applied": len(unread)}
    audit = new.command("audit")
    assert audit.returncode == 0, audit.stdout
    assert worker.terminate() == 0
    new.close()


#: A process that runs the command and dies at a given moment, as by kill -9.
DYING = """
    import os, signal, sys
    from faust.cli.faust import cli
    import rescaling.moving, rescaling.rescale
    moment = os.environ["DIES"]
    rescaling.moving.ROWS_PER_TRANSACTION = 100
    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
    def after(owner, name, count):
        whole, calls = getattr(owner, name), []
        async def run(*args, **kwargs):
            result = await whole(*args, **kwargs)
            calls.append(1)
            if len(calls) == count:
                die()
            return result
        setattr(owner, name, run)
    mover = rescaling.moving.Mover
    {
        "topics": lambda: after(rescaling.rescale, "prepare", 1),
        "begun": lambda: after(mover, "begin", 1),
        "some rows": lambda: after(mover, "_send", 3),
        "all rows": lambda: after(mover, "move", 1),
        "ended": lambda: after(mover, "end", 1),
    }[moment]()
    sys.argv[:] = ["faust", "-A", "app", *sys.argv[1:]]
    cli()
"""


def die(cluster: Cluster, moment: str, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DYING), "rescale", *words],
        cwd=ROOT,
        env={**cluster.environment, "DIES": moment},
        timeout=120,
        check=False,
        capture_output=True,
    )
    assert done.returncode == -9, done.stderr.decode()


def test_a_kill_at_any_moment_leaves_all_or_nothing_and_the_next_run_ends_it(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = make_cluster(**QUICK, TOPIC_PARTITIONS=OLD)
    cluster.create_topic(cluster.events)
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(1500, seed=8))
    cluster.wait_until_applied()
    users, videos = range(1, 400), range(1, 60)
    at = latest(worker, users)
    before = answers(worker, users, videos, at)
    viral = worker.get("/videos/viral")
    assert worker.terminate() == 0
    words = "--partitions", "8", "--alter-input"
    new = moved(cluster, 8)
    for moment in ("topics", "begun", "some rows", "all rows"):
        die(cluster, moment, *words)
    # No worker uses an incomplete move; the old app is unchanged.
    assert new.command("topics").returncode == 1
    cluster_partitions = len(
        cluster.admin.list_topics(cluster.events).topics[cluster.events].partitions
    )
    assert cluster_partitions == OLD
    worker = cluster.worker().start()
    assert answers(worker, users, videos, at) == before
    assert worker.terminate() == 0

    die(cluster, "ended", *words)
    assert "already moved" in rescale(cluster, *words)
    worker = new.worker("new").start()
    assert answers(worker, users, videos, at) == before
    wait_until_equal(lambda: worker.get("/videos/viral"), viral)
    assert "are running" in refusal(cluster, *words)
    assert new.command("audit").returncode == 0
    assert worker.terminate() == 0

    deleted = rescale(cluster, *words, "--delete-old")
    assert f"deleted {cluster.user_changelog}" in deleted
    left = set(cluster.admin.list_topics().topics)
    assert {cluster.events, cluster.viral, new.user_changelog} <= left
    assert not {cluster.user_changelog, cluster.deltas, cluster.repartition} & left
    worker = new.worker("new").start()
    assert answers(worker, users, videos, at) == before
    new.close()


def test_what_cannot_be_moved_is_refused_in_one_line_and_nothing_is_made(
    make_cluster: Callable[..., Cluster],
) -> None:
    """No app, impossible numbers, an existing app of that name, a running worker, no broker."""
    cluster = make_cluster(**QUICK, TOPIC_PARTITIONS=OLD)
    done = cluster.command("rescale", "--partitions", "5000")
    assert done.returncode == 2
    assert "'5000' is not an integer from 1 to 1024" in done.stderr
    assert "already have 4 partitions" in refusal(cluster, "--partitions", "4")
    nobody = {"BROKER_URL": "kafka://127.0.0.1:1"}
    assert "no broker answers" in refusal(cluster, "--partitions", "8", **nobody)
    assert "has a worker run yet" in refusal(cluster, "--partitions", "8")
    cluster.create_topic(cluster.events)
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(300, seed=8))
    cluster.wait_until_applied()
    line = refusal(cluster, "--partitions", "8", "--alter-input")
    assert f"workers of group {cluster.app_id} are running" in line
    assert worker.terminate() == 0

    assert "--to-events-topic" in refusal(cluster, "--partitions", "2")
    line = refusal(cluster, "--partitions", "8", TOPIC_PARTITIONS="6")
    assert "set TOPIC_PARTITIONS=4" in line
    other = moved(cluster, 8)
    cluster.create_topic(other.user_changelog, 8)
    with cluster.producer() as producer:
        producer.produce(other.user_changelog, b"somebody's", b"1", 1)
    assert f"the app {other.app_id} exists" in refusal(cluster, "--partitions", "8")
    line = refusal(cluster, "--partitions", "8", "--delete-old")
    assert f"the app {other.app_id} exists" in line
    line = refusal(cluster, "--partitions", "6", "--delete-old")
    assert "run the command without --delete-old first" in line
    # Unapplied deltas, as left by a worker that was killed between two commits.
    with cluster.producer() as producer:
        producer.produce(cluster.deltas, b"", None, 0)
    assert f"not all events of {cluster.deltas} are applied yet" in refusal(
        cluster, "--partitions", "6"
    )
    left = {name for name in cluster.admin.list_topics().topics if name.startswith(cluster.app_id)}
    assert left == {
        *(cluster.events, cluster.dead_letters, cluster.deltas, cluster.repartition, cluster.order),
        *(cluster.viral, cluster.user_changelog, cluster.video_changelog, other.user_changelog),
        *(cluster.creator_deltas, cluster.creator_changelog),
    }


def test_fewer_partitions_go_on_with_another_input(make_cluster: Callable[..., Cluster]) -> None:
    """Answers stay, and events sent to the new input count on top of them."""
    cluster = make_cluster(**QUICK, TOPIC_PARTITIONS=OLD)
    cluster.create_topic(cluster.events)
    worker = cluster.worker().start()
    users = range(1, 31)
    send(cluster, [(u, event(u, 1, START + u, f"first-{u}")) for u in users], OLD)
    cluster.wait_until_applied()
    at = latest(worker, users)
    before = answers(worker, users, [1], at)
    assert worker.terminate() == 0
    name = f"{cluster.events}-3"
    rescale(cluster, "--partitions", "3", "--to-events-topic", name)
    new = moved(cluster, 3)
    new.events = new.environment["REELS_EVENTS_TOPIC"] = name
    worker = new.worker("new").start()
    assert answers(worker, users, [1], at) == before
    again = [(u, event(u, 1, START + u, f"first-{u}")) for u in users]
    send(new, [*again, (5, event(5, 1, START + MINUTE, "second"))], 3)
    new.wait_until_applied()
    assert outcomes(worker) == {"applied": 1, "duplicate": 30, "late": 0, "rejected": 0}
    assert worker.get(f"/users/5?at={at}")["total_videos_watched"] == 2
    new.close()


@pytest.mark.slow
def test_a_full_disk_of_the_broker_ends_a_move_that_can_be_run_again(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    """Kafka ends when it cannot write; the old tables are as before."""
    with kafka_on_small_disk(tmp_path / "kafka") as (kafka, disk):
        cluster = make_cluster(bootstrap=kafka.bootstrap, **QUICK, TOPIC_PARTITIONS=OLD)
        cluster.create_topic(cluster.events)
        worker = cluster.worker().start()
        users, videos = range(1, 61), range(1, 8)
        send_stream(cluster, untidy_stream(3000, seed=9))
        cluster.wait_until_applied()
        at = latest(worker, users)
        before = answers(worker, users, videos, at)
        assert worker.terminate() == 0
        disk.fill()
        refusal(cluster, "--partitions", "6", "--alter-input")
        disk.free()
        if not kafka.running:
            kafka.restart()
        rescale(cluster, "--partitions", "6", "--alter-input")
        new = moved(cluster, 6)
        worker = new.worker("new").start()
        assert answers(worker, users, videos, at) == before
        new.close()
