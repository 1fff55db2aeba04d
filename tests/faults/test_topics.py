"""Topics that lose records, are missing, or refuse records."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from tests.faults.aftermath import check_aftermath
from tests.integration.stream import START, event, send_stream, untidy_stream
from tests.oracle_events import partition_of
from tests.worker import wait_until

if TYPE_CHECKING:
    from tests.cluster import Cluster


pytestmark = pytest.mark.faults


@pytest.mark.parametrize("state", ["stopped", "paused"])
def test_events_deleted_before_they_were_read_are_reported_and_passed_over(
    cluster: Cluster, state: str
) -> None:
    first, second = [u for u in range(1, 99) if partition_of(u, cluster.partitions) == 0][:2]

    def send(user: int, number: object) -> None:
        with cluster.producer() as producer:
            producer.produce(cluster.events, event(user, 1, START, number), b"x", 0)

    send(first, 0)
    worker = cluster.worker().start()
    cluster.wait_until_applied()
    if state == "stopped":
        assert worker.terminate() == 0
    else:
        os.kill(worker.pid, signal.SIGSTOP)
        # The broker answers the pending fetch now, so that it cannot return the records sent next.
        time.sleep(2)
    for number in range(1, 10):
        send(first, number)
    (deleted,) = cluster.admin.delete_records([TopicPartition(cluster.events, 0, 10)]).values()
    deleted.result(30)
    send(second, "after")
    if state == "stopped":
        worker.start()
    else:
        os.kill(worker.pid, signal.SIGCONT)
    cluster.wait_until_applied(30)
    assert worker.get(f"/users/{second}")["total_videos_watched"] == 1
    assert worker.get(f"/users/{first}")["total_videos_watched"] == 1
    assert "were deleted before they were read" in worker.output()


def test_a_dead_letter_topic_with_fewer_partitions_does_not_stop_the_program(
    cluster: Cluster,
) -> None:
    """Several programs may share it, or it may be older than this program."""
    cluster.create_topic(cluster.dead_letters, partitions=1)
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(3000, seed=13))
    check_aftermath(cluster, worker)


def set_largest_record(cluster: Cluster, topic: str, size: int) -> None:
    resource = ConfigResource(
        ConfigResource.Type.TOPIC,
        topic,
        incremental_configs=[
            ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        ],
    )
    cluster.admin.incremental_alter_configs([resource])[resource].result(30)


def standstill(cluster: Cluster) -> int:
    """Wait until no partition's offset moves any more, and return the sum of offsets."""
    found = -1
    while (before := found) != (found := sum(cluster.committed(cluster.events).values())):
        time.sleep(2)
    return before


@pytest.mark.slow
def test_input_stops_rather_than_loses_while_no_dead_letter_can_be_written(
    cluster: Cluster,
) -> None:
    cluster.create_topic(cluster.dead_letters)
    worker = cluster.worker().start()
    stream = untidy_stream(12_000, seed=40)
    send_stream(cluster, stream[:6000])
    cluster.wait_until_applied()
    # Less than any dead letter; transaction markers, 78 bytes each, still fit.
    set_largest_record(cluster, cluster.dead_letters, 200)
    send_stream(cluster, stream[6000:])
    stopped_at = standstill(cluster)
    assert stopped_at < len(cluster.read(cluster.events))
    wait_until(lambda: "their events are processed again" in worker.output(), "it is said aloud")
    assert f"{cluster.dead_letters}" in worker.output()
    assert worker.status("/healthz") == 200
    set_largest_record(cluster, cluster.dead_letters, 8 << 20)
    check_aftermath(cluster, worker)


def test_a_dead_letter_topic_that_is_deleted_is_made_again_and_nothing_else_is_lost(
    cluster: Cluster,
) -> None:
    worker = cluster.worker().start()
    stream = untidy_stream(6000, seed=40)
    send_stream(cluster, stream[:3000])
    cluster.wait_until_applied()
    letters = cluster.read(cluster.dead_letters)
    assert letters
    cluster.admin.delete_topics([cluster.dead_letters])[cluster.dead_letters].result(30)
    send_stream(cluster, stream[3000:])
    wait_until(lambda: "creating it again" in worker.output(), "it is said aloud")
    wait_until(
        lambda: cluster.dead_letters in cluster.admin.list_topics(timeout=30).topics, "it is there"
    )
    assert cluster.topic_config(cluster.dead_letters)["retention.ms"] == str(14 * 24 * 3_600_000)
    with cluster.producer() as producer:
        for each in letters:
            headers = list(each.headers)
            place = cluster.dead_letters, each.value, each.key, each.partition
            producer.produce(*place, headers=headers)
    check_aftermath(cluster, worker)


def test_an_order_topic_that_is_deleted_is_made_again_and_counts_go_on(cluster: Cluster) -> None:
    """Only an audit reads it, so nothing must be recounted for it."""
    worker = cluster.worker().start()
    stream = untidy_stream(4000, seed=42)
    send_stream(cluster, stream[:2000])
    cluster.wait_until_applied()
    orders = cluster.read(cluster.order)
    assert orders
    cluster.admin.delete_topics([cluster.order])[cluster.order].result(30)
    wait_until(lambda: "creating it again" in worker.output(), "it is said aloud")
    wait_until(lambda: cluster.has_topic(cluster.order), "it is there")
    # For the recount, which uses it as an audit does.
    with cluster.producer() as producer:
        for each in orders:
            producer.produce(cluster.order, each.value, each.key, each.partition)
    send_stream(cluster, stream[2000:])
    check_aftermath(cluster, worker)


@pytest.mark.slow
@pytest.mark.parametrize("state", ["made anew", "deleted"])
def test_an_input_that_is_deleted_or_made_anew_stops_the_worker(
    cluster: Cluster, state: str
) -> None:
    """Nobody can know which of its events were already counted."""
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(3000, seed=41))
    cluster.wait_until_applied()
    cluster.admin.delete_topics([cluster.events])[cluster.events].result(30)
    if state == "made anew":
        time.sleep(1)
        cluster.create_topic(cluster.events)
        with cluster.producer() as producer:
            for user in range(50):
                producer.produce(
                    cluster.events, event(user, 1, START, f"anew-{user}"), b"%d" % user
                )
    assert worker.wait_exit() == 1
    (line,) = [line for line in worker.output().splitlines() if "error: " in line]
    # It reports that the topic is gone, has another id, or is shorter.
    assert any(each in line for each in ("was deleted", "has the id", "beyond the end"))
    assert cluster.events in line
