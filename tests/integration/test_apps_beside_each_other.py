"""Two apps on one input: each has its own topics, and neither writes to the other's."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from models.schema import SOURCE_APP
from tests.integration.stream import START, event
from tests.worker import wait_until, wait_until_equal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster
    from tests.worker import Worker


VIDEO = 77
EASY = {"TOPIC_PARTITIONS": 2, "REELS_VIRAL_MIN_VIEWS": 1}


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_cluster(**EASY)
    cluster.create_topic(cluster.events)
    return cluster


def make_viral(cluster: Cluster, video: int) -> None:
    shares = [
        event(1, video, START, f"{video}-{n}", event_type=kind)
        for n, kind in enumerate(("video_view", "share", "share"))
    ]
    with cluster.producer() as producer:
        for value in [*shares, b"no event"]:
            producer.produce(cluster.events, value, b"1")


def viral(worker: Worker) -> set[int]:
    return {each["video_id"] for each in worker.get("/videos/viral")["videos"]}


def count_in(cluster: Cluster, topic: str) -> int:
    return len(cluster.read(topic))


def refusal(worker: Worker) -> str:
    assert worker.wait_exit() == 1
    return worker.output().splitlines()[-1]


def test_an_app_refuses_the_viral_topic_of_another_until_it_is_made_anew(cluster: Cluster) -> None:
    first = cluster.worker().start()
    make_viral(cluster, VIDEO)
    wait_until_equal(lambda: viral(first), {VIDEO})
    other = cluster.worker("other", REELS_APP_ID=f"{cluster.app_id}-other").launch()
    line = refusal(other)
    assert f"the topic {cluster.viral} has the viral videos of another app" in line
    assert f"{cluster.app_id}: set REELS_VIRAL_TOPIC" in line
    # After a restart, the app itself recognises the topic as its own.
    assert first.terminate() == 0
    first.start()
    assert first.terminate() == 0
    cluster.admin.delete_topics([cluster.viral])[cluster.viral].result(30)
    wait_until(lambda: not cluster.has_topic(cluster.viral), "the topic is gone")
    other.start()
    wait_until_equal(lambda: viral(other), {VIDEO})


def test_with_default_names_two_apps_keep_their_dead_letters_and_viral_videos_apart(
    cluster: Cluster,
) -> None:
    names = {}
    for app_id in (f"{cluster.app_id}-x", f"{cluster.app_id}-y"):
        worker = cluster.worker(
            app_id, REELS_APP_ID=app_id, REELS_DEAD_LETTER_TOPIC="", REELS_VIRAL_TOPIC=""
        )
        names[app_id] = worker.start()
    make_viral(cluster, VIDEO)
    for app_id, worker in names.items():
        wait_until_equal(partial(viral, worker), {VIDEO})
        for topic in (f"{app_id}-engagement-events-dead-letter", f"{app_id}-viral-videos"):
            wait_until_equal(partial(count_in, cluster, topic), 1)
            (record,) = cluster.read(topic)
            assert dict(record.headers)[SOURCE_APP] == app_id.encode()


def test_flags_of_a_release_before_are_taken_over_by_the_app_that_starts_on_them(
    cluster: Cluster,
) -> None:
    """Such flags do not name their app."""
    cluster.create_topic(cluster.viral, cleanup_policy="compact")
    with cluster.producer() as producer:
        producer.produce(cluster.viral, None, b"5")
    worker = cluster.worker().start()
    make_viral(cluster, VIDEO)
    wait_until_equal(lambda: viral(worker), {VIDEO})


def test_flags_that_another_app_writes_meanwhile_are_passed_over_and_counted(
    cluster: Cluster,
) -> None:
    worker = cluster.worker().start()
    make_viral(cluster, VIDEO)
    wait_until_equal(lambda: viral(worker), {VIDEO})
    with cluster.producer() as producer:
        flag = cluster.read(cluster.viral)[0].value
        assert flag is not None
        value = flag.replace(b"77", b"78")
        producer.produce(cluster.viral, value, b"78", headers=[(SOURCE_APP, b"clips")])
    name = f'reels_foreign_records_total{{topic="{cluster.viral}"}}'
    wait_until(lambda: worker.metrics().get(name) == 1, "it is counted")
    assert viral(worker) == {VIDEO}
    assert "another app wrote it: b'clips'" in worker.output()
