"""``faust -A app audit`` finds every error in the tables, and reports none if there is none."""

from __future__ import annotations

import time
from itertools import count
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from models.video import VideoWindows
from models.windows import Slices
from tests.counted import of_video
from tests.integration import checks
from tests.integration.stream import START, event, send_stream, untidy_stream
from tests.oracle import HOUR, MINUTE, Rules
from tests.oracle_events import partition_of
from tests.worker import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.cluster import Cluster


def audit(cluster: Cluster, *options: str) -> subprocess.CompletedProcess[str]:
    return cluster.command("audit", *options)


@pytest.fixture(scope="module")
def applied(make_shared_cluster: Callable[..., Cluster]) -> Cluster:
    """A program that has applied an untidy stream, and whose worker has stopped."""
    cluster = make_shared_cluster()
    cluster.create_topic(cluster.events)
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(20_000, seed=8))
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    return cluster


@pytest.mark.parametrize("processes", ["1", "3"], ids=lambda count: f"{count} processes")
@pytest.mark.parametrize("memory", ["1", "512"], ids=lambda mib: f"{mib} MiB")
def test_tables_that_are_right_pass_without_a_worker(
    applied: Cluster, memory: str, processes: str
) -> None:
    done = audit(applied, "--memory", memory, "--processes", processes)
    assert done.returncode == 0, done.stdout + done.stderr
    oracle = checks.ask_oracle(applied, Rules(applied.partitions))
    total = oracle.outcomes.total()
    assert f"recounted {total:,} records: applied {oracle.outcomes['applied']:,}" in done.stdout
    assert f"late {oracle.outcomes['late']:,}" in done.stdout
    assert ", 0 differ" in done.stdout


def overwrite(cluster: Cluster, topic: str, key: bytes, value: bytes | None) -> None:
    with cluster.producer() as producer:
        producer.produce(topic, value, key, partition_of(int(key), cluster.partitions))


def test_every_kind_of_difference_is_named(applied: Cluster) -> None:
    """Values in the changelogs are replaced, added and deleted, as a bug might do."""
    before_users = applied.replay(applied.user_changelog)
    before_videos = applied.replay(applied.video_changelog)
    oracle = checks.ask_oracle(applied, Rules(applied.partitions))
    home = {u: partition_of(u, applied.partitions) for u in oracle.of_user}
    busy = [u for u in sorted(oracle.of_user) if oracle.user(u, oracle.as_of(u) or 0).views > 2]
    gone, twin = busy[0], next(u for u in busy[1:] if home[u] == home[busy[0]])
    latest = oracle.latest()
    assert latest is not None
    video = max(oracle.of_video, key=lambda v: oracle.rolling(v, latest).views)
    windows = VideoWindows(Slices(2 * HOUR, 5 * MINUTE))
    pane = latest // (5 * MINUTE)
    more = windows.apply(before_videos[b"%d" % video], pane, of_video(1), latest)
    try:
        overwrite(applied, applied.user_changelog, b"%d" % gone, None)
        overwrite(applied, applied.user_changelog, b"%d" % twin, before_users[b"%d" % gone])
        overwrite(applied, applied.video_changelog, b"%d" % video, more)
        done = audit(applied, "--show", "1000")
        assert audit(applied, "--show", "1000", "--memory", "1").stdout == done.stdout
        shared = audit(applied, "--show", "1000", "--processes", "2")
        assert sorted(shared.stdout.splitlines()) == sorted(done.stdout.splitlines())
        assert done.returncode == 1
        assert f"user {gone}, step of " in done.stdout
        assert f"user {twin}, step of " in done.stdout
        assert f"video {video}, step of " in done.stdout
        assert "2 differ" in done.stdout
        assert "1 differ" in done.stdout
        few = audit(applied, "--show", "1")
        assert len([line for line in few.stdout.splitlines() if "step of" in line]) == 1
        assert "differences in all" in few.stdout
    finally:
        for key in (gone, twin):
            overwrite(applied, applied.user_changelog, b"%d" % key, before_users[b"%d" % key])
        overwrite(applied, applied.video_changelog, b"%d" % video, before_videos[b"%d" % video])
    assert audit(applied).returncode == 0


def test_tables_pass_while_workers_apply_what_comes_in(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = make_cluster()
    cluster.create_topic(cluster.events)
    cluster.worker().start()
    stop = Event()

    def send_until_told() -> None:
        for seed in count():
            stream = untidy_stream(10_000, seed=seed)
            for first in range(0, len(stream), 500):
                send_stream(cluster, stream[first : first + 500])
                if stop.wait(0.1):
                    return

    sender = Thread(target=send_until_told)
    sender.start()
    try:
        wait_until(lambda: any(cluster.committed(cluster.events).values()), "the first commit")
        for processes in ("1", "2"):
            done = audit(cluster, "--processes", processes)
            assert done.returncode == 0, done.stdout + done.stderr
        assert sender.is_alive()
    finally:
        stop.set()
        sender.join()


def test_what_the_input_no_longer_holds_is_not_judged(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(REELS_MAX_FUTURE_SKEW="1m", REELS_DEDUP_HORIZON="1m")
    cluster.create_topic(cluster.events)
    cluster.worker().start()
    old, new = START, START + 3 * HOUR
    with cluster.producer() as producer:
        for number, t in enumerate((old, old, new, new)):
            value = event(number % 2, 9, t, number)
            place = partition_of(number % 2, cluster.partitions)
            producer.produce(cluster.events, value, b"x", place, timestamp=t)
    cluster.wait_until_applied()
    assert audit(cluster).returncode == 0
    ends = {r.partition: r.offset for r in cluster.read(cluster.events)}
    tps = [TopicPartition(cluster.events, number, at) for number, at in ends.items()]
    for deleted in cluster.admin.delete_records(tps).values():
        deleted.result(30)
    done = audit(cluster)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the input before offset" in done.stdout
    assert "are not judged" in done.stdout


def test_a_program_that_has_never_run_is_an_error_in_one_line(
    make_cluster: Callable[..., Cluster],
) -> None:
    done = audit(make_cluster())
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "does not exist: has a worker run yet?" in done.stderr


def test_no_broker_is_an_error_in_one_line(make_cluster: Callable[..., Cluster]) -> None:
    done = audit(make_cluster(bootstrap="127.0.0.1:1"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "no broker answers at" in done.stderr


def test_other_windows_than_the_tables_have_are_an_error(applied: Cluster) -> None:
    applied.environment["REELS_USER_STEP"] = "5m"
    try:
        done = audit(applied)
    finally:
        del applied.environment["REELS_USER_STEP"]
    assert done.returncode == 2
    assert "has a window of" in done.stderr


def delete_copies(cluster: Cluster) -> None:
    """Delete all passed on events, as workers do some time after these were counted."""
    ends = {r.partition: r.offset + 1 for r in cluster.read(cluster.repartition)}
    tps = [TopicPartition(cluster.repartition, number, at) for number, at in ends.items()]
    for deleted in cluster.admin.delete_records(tps).values():
        deleted.result(30)
    assert ends


def test_misplaced_events_are_recounted_when_their_copies_are_gone(applied: Cluster) -> None:
    """For repeated ids the report says that it cannot know; everything else is exact."""
    misplaced = len(applied.read(applied.repartition))
    delete_copies(applied)
    done = audit(applied)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{misplaced} events that lay in the wrong partition or were replayed" in done.stdout
    assert f"rekeyed {misplaced:,}" in done.stdout
    assert audit(applied, "--processes", "2").stdout == done.stdout


def test_a_misplaced_event_that_no_copy_was_made_of_is_a_difference(
    make_cluster: Callable[..., Cluster],
) -> None:
    """Otherwise a worker that passed on an event and lost it would look correct."""
    cluster = make_cluster()
    cluster.create_topic(cluster.events)
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(500, seed=9))
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    user = 424_242
    elsewhere = (partition_of(user, cluster.partitions) + 1) % cluster.partitions
    with cluster.producer() as producer:
        producer.produce(cluster.events, event(user, 1, START + 28 * HOUR, "lost"), b"x", elsewhere)
    positions = [
        TopicPartition(cluster.events, number, at + (number == elsewhere))
        for number, at in cluster.committed(cluster.events).items()
    ]
    asked = [ConsumerGroupTopicPartitions(cluster.app_id, positions)]
    for altered in cluster.admin.alter_consumer_group_offsets(asked).values():
        altered.result(30)
    done = audit(cluster)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"user {user}, step of " in done.stdout
    assert "1 events that lay in the wrong partition" in done.stdout


def test_replayed_events_are_recounted_when_their_copies_are_gone(
    make_cluster: Callable[..., Cluster],
) -> None:
    """They were ahead of the clock when they were first read, but not when they were replayed."""
    cluster = make_cluster(REELS_MAX_FUTURE_SKEW="1s")
    cluster.create_topic(cluster.events)
    soon = int(time.time() * 1000) + HOUR
    with cluster.producer() as producer:
        for user in range(8):
            place = partition_of(user, cluster.partitions) if user % 2 else 0
            producer.produce(cluster.events, event(user, 9, soon, user), b"x", place)
    worker = cluster.worker().start()
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    cluster.environment["REELS_MAX_FUTURE_SKEW"] = "2h"
    assert (
        "sent 8 " in cluster.command("replay-dead-letters", "--reason", "future_timestamp").stdout
    )
    worker = cluster.worker("later").start()
    cluster.wait_until_applied()
    assert worker.get("/users/7")["total_videos_watched"] == 1
    assert audit(cluster).returncode == 0
    delete_copies(cluster)
    done = audit(cluster)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 events that lay in the wrong partition or were replayed" in done.stdout
