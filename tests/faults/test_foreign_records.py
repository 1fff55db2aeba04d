"""Foreign records in the program's own topics: skipped, counted and logged, or refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from models.deltas import pack_deltas
from tests.integration.stream import START, event
from tests.worker import wait_until, wait_until_equal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster
    from tests.worker import Worker


pytestmark = pytest.mark.faults


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_cluster(TOPIC_PARTITIONS=1, REELS_VIRAL_MIN_VIEWS=2)
    cluster.create_topic(cluster.events)
    return cluster


def send(cluster: Cluster, topic: str, *records: tuple[bytes | None, bytes | None]) -> None:
    with cluster.producer() as producer:
        for key, value in records:
            producer.produce(topic, value, key, 0)


def make_viral(cluster: Cluster, *videos: int) -> None:
    """Send events that make ``videos`` viral: two views and four shares each."""
    kinds = ["video_view"] * 2 + ["share"] * 4
    sent = [
        (b"1", event(1, video, START, f"{video}-{number}", event_type=kind))
        for video in videos
        for number, kind in enumerate(kinds)
    ]
    send(cluster, cluster.events, *sent)


def viral(worker: Worker) -> tuple[set[int], bool]:
    answer = worker.get("/videos/viral")
    return {video["video_id"] for video in answer["videos"]}, answer.get("complete", True)


def foreign(worker: Worker, topic: str) -> float:
    return worker.metrics().get(f'reels_foreign_records_total{{topic="{topic}"}}', 0)


def test_records_of_others_in_the_viral_topic_do_not_freeze_the_list(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    make_viral(cluster, 7, 8)
    wait_until_equal(lambda: viral(worker), ({7, 8}, True))
    strange = [(b"seven", b"{}"), (b"7", b'{"video_id": 7}'), (b"9", b"garbage")]
    send(cluster, cluster.viral, *strange)
    wait_until_equal(lambda: viral(worker), ({8}, False))
    make_viral(cluster, 10)
    wait_until_equal(lambda: viral(worker), ({8, 10}, False))
    assert foreign(worker, cluster.viral) == len(strange)
    assert f"{cluster.viral}-0: skipped the record at offset" in worker.output()
    assert worker.get("/overview")["viral"]["complete"] is False
    # A worker that starts with such a topic is ready, and shows the same.
    other = cluster.worker("b").start()
    wait_until_equal(lambda: viral(other), ({8, 10}, False))
    # The list is complete once every video is known again.
    send(cluster, cluster.viral, (b"9", None), (b"7", None))
    wait_until_equal(lambda: viral(worker), ({8, 10}, True))
    assert other.terminate() == 0
    assert worker.terminate() == 0


def test_records_of_others_among_video_deltas_stop_no_partition(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    make_viral(cluster, 7)
    wait_until_equal(lambda: viral(worker), ({7}, True))
    own = pack_deltas(0, START, [])
    strange = [b"garbage", b"", None, own[:-1], own + b"x", b"\x09" + own[1:]]
    send(cluster, cluster.deltas, *((None, value) for value in strange))
    make_viral(cluster, 8)
    wait_until_equal(lambda: viral(worker), ({7, 8}, True))
    wait_until_equal(lambda: foreign(worker, cluster.deltas), float(len(strange)))
    assert f"{cluster.deltas}-0: skipped the record at offset" in worker.output()
    assert worker.terminate() == 0


def test_a_changelog_with_rows_of_others_ends_the_worker_with_one_line(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    make_viral(cluster, 7)
    wait_until_equal(lambda: viral(worker), ({7}, True))
    assert worker.terminate() == 0
    shutil.rmtree(worker.data_dir)
    send(cluster, cluster.user_changelog, (b"12", b"garbage"))
    worker.launch()
    assert worker.wait_exit() == 1
    said = worker.output()
    assert f"{cluster.user_changelog}-0 has a row at offset" in said
    assert "b'12'" in said
    assert "Traceback" not in said


def test_dead_letters_of_others_are_not_replayed_and_are_named(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    send(cluster, cluster.events, (b"1", b"no json"))
    wait_until(lambda: cluster.read(cluster.dead_letters), "it is rejected")
    assert worker.terminate() == 0
    topic = cluster.events.encode()
    with cluster.producer() as producer:
        for partition in (None, b"zero", b"-1", b""):
            headers: list[tuple[str, bytes | None]] = [
                *(("reason", b"malformed_json"), ("source.topic", topic)),
            ]
            headers.append(("source.partition", partition))
            producer.produce(cluster.dead_letters, b"no json", None, 0, headers=headers)
        bare = [("reason", b"malformed_json"), ("source.topic", topic)]
        producer.produce(cluster.dead_letters, b"no json", None, 0, headers=bare)
    done = cluster.command("replay-dead-letters", "--reason", "malformed_json")
    assert done.returncode == 0, done.stderr
    assert "sent 1 dead letter of" in done.stdout
    assert "skipped 5 that no worker wrote" in done.stderr
    assert f"{cluster.dead_letters}-0 at offset" in done.stderr
