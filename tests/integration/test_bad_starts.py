"""A worker that cannot start says in one line what to do; one that can wait does."""

from __future__ import annotations

import pytest

from embedded import EmbeddedKafka
from embedded.probe import free_ports
from tests.integration.stream import START, event
from tests.worker import wait_until


def refusal(worker):
    """Return the one line that says why a worker has ended."""
    output = worker.output()
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if "error: " in line]
    assert len(lines) == 1, output
    return lines[0]


def test_a_worker_started_before_the_broker_waits_for_it(make_cluster):
    (port,) = free_ports(1)
    cluster = make_cluster(bootstrap=f"127.0.0.1:{port}")
    worker = cluster.worker().launch()

    def complaints():
        return [line for line in worker.output().splitlines() if "no broker answers" in line]

    wait_until(lambda: len(complaints()) >= 2, "it tries again")
    assert f"127.0.0.1:{port}" in complaints()[0]
    with EmbeddedKafka(port):
        worker.wait_ready()
        with cluster.producer() as producer:
            producer.produce(cluster.events, event(5, 1, START, 1), b"5")
        cluster.wait_until_applied()
        assert worker.get("/users/5")["total_videos_watched"] == 1
        assert worker.terminate() == 0
    assert "Traceback" not in worker.output()


def test_a_topic_with_another_number_of_partitions_is_refused(make_cluster):
    cluster = make_cluster(TOPIC_PARTITIONS=4)
    cluster.create_topic(cluster.events, partitions=3)
    worker = cluster.worker().launch()
    assert worker.wait_exit() != 0
    line = refusal(worker)
    assert f"topic {cluster.events} has 3 partitions" in line
    assert "TOPIC_PARTITIONS=3" in line


@pytest.mark.parametrize(
    ("name", "value", "table", "disk"),
    [
        ("REELS_USER_STEP", "30m", "user_metrics", "same disk"),
        ("REELS_USER_WINDOW", "12h", "user_metrics", "empty disk"),
        ("REELS_VIDEO_STEP", "10m", "video_metrics", "same disk"),
    ],
)
def test_a_table_built_with_another_step_or_window_is_refused(
    built_cluster, name, value, table, disk
):
    worker = built_cluster.worker("a" if disk == "same disk" else f"new-{name}", **{name: value})
    worker.launch()
    assert worker.wait_exit() != 0
    line = refusal(worker)
    assert f"table {table} was built with" in line
    assert "REELS_APP_ID" in line


@pytest.fixture(scope="module")
def built_cluster(make_shared_cluster):
    cluster = make_shared_cluster(BROKER_SESSION_TIMEOUT=6)
    cluster.create_topic(cluster.events)
    worker = cluster.worker("a").start()
    with cluster.producer() as producer:
        producer.produce(cluster.events, event(5, 1, START, 1), b"5")
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    return cluster


def test_two_workers_on_one_data_directory_are_refused(make_cluster):
    cluster = make_cluster()
    first = cluster.worker("same").start()
    second = cluster.worker("same").launch()
    assert second.wait_exit() != 0
    assert "is in use by another worker" in refusal(second)
    assert first.status("/readyz") == 200
    assert first.terminate() == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REELS_USER_STEP", "banana"),
        ("REELS_VIDEO_STEP", "7m"),
        ("TOPIC_PARTITIONS", "0"),
        ("BROKER_URL", "http://127.0.0.1:9092"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name_and_what_is_allowed(make_cluster, name, value):
    worker = make_cluster().worker(**{name: value}).launch()
    assert worker.wait_exit() != 0
    line = refusal(worker)
    assert "allowed is" in line
    assert name in line
    assert len(worker.output().splitlines()) == 1


def test_a_taken_web_port_is_refused(make_cluster):
    cluster = make_cluster()
    first, second = cluster.worker("a").start(), cluster.worker("b")
    second.port = first.port
    second.launch()
    assert second.wait_exit() != 0
    assert str(first.port) in refusal(second)
    assert first.status("/healthz") == 200
