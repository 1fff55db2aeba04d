"""Group offsets that are gone, moved or of another topic: the tables know their positions."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from tables.layout import LAYOUT_KEY
from tests.faults.aftermath import check_aftermath, check_answers
from tests.integration.stream import START, event, send_stream, untidy_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster
    from tests.worker import Worker


pytestmark = pytest.mark.faults


@pytest.fixture
def stopped(cluster: Cluster) -> Worker:
    """A program that has counted events, and whose worker is stopped."""
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(3000, seed=70))
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    return worker


def forget_group(cluster: Cluster) -> None:
    """Delete the group and its offsets, as brokers do after a long idle time."""
    cluster.admin.delete_consumer_groups([cluster.app_id])[cluster.app_id].result(30)


def move_group(cluster: Cluster, topic: str, place: Callable[[int], int]) -> None:
    """Move the group's offsets of ``topic`` to ``place``, a function of the current offset."""
    moved = [
        TopicPartition(topic, partition, place(offset))
        for partition, offset in cluster.committed(topic).items()
    ]
    asked = [ConsumerGroupTopicPartitions(cluster.app_id, moved)]
    for done in cluster.admin.alter_consumer_group_offsets(asked).values():
        done.result(30)


def lines_with(worker: Worker, text: str) -> list[str]:
    return [line for line in worker.output().splitlines() if text in line]


def last_line(worker: Worker) -> str:
    """Return the only line with which a worker that cannot start ends."""
    assert worker.wait_exit() == 1
    assert "Traceback" not in worker.output()
    (line,) = lines_with(worker, "error: ")
    return line


FAULTS: dict[str, tuple[Callable[[Cluster], None], str]] = {
    "gone": (forget_group, "the group's offsets are gone"),
    "moved back": (
        lambda cluster: move_group(cluster, cluster.events, lambda at: at // 2),
        "the group's offsets were moved back",
    ),
    "beyond the end": (
        lambda cluster: move_group(cluster, cluster.events, lambda at: at + 1000),
        "the group's offsets are beyond the end",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_offsets_that_are_gone_or_wrong_count_nothing_twice(
    cluster: Cluster, stopped: Worker, fault: str
) -> None:
    """A worker continues from its tables' positions, logs one line, and corrects the group."""
    do, said = FAULTS[fault]
    do(cluster)
    stopped.start()
    (line,) = lines_with(stopped, said)
    assert cluster.events in line
    send_stream(cluster, untidy_stream(1000, seed=71))
    check_aftermath(cluster, stopped)


@pytest.mark.slow
def test_offsets_that_are_gone_with_the_disk_count_nothing_twice(
    cluster: Cluster, stopped: Worker
) -> None:
    """Positions are restored with the tables, from the changelogs. An audit waits for that."""
    forget_group(cluster)
    audit = cluster.command("audit")
    assert audit.returncode == 2
    assert "Start a worker once" in audit.stderr
    shutil.rmtree(stopped.data_dir)
    stopped.start()
    send_stream(cluster, untidy_stream(1000, seed=71))
    check_aftermath(cluster, stopped)
    assert cluster.command("audit").returncode == 0


def test_events_that_an_operator_skips_are_left_out_and_counted(cluster: Cluster) -> None:
    """The group's offsets were moved ahead: the worker follows, and reports the skipped events."""
    worker = cluster.worker().start()

    def send(user: int, count: int, name: str) -> None:
        with cluster.producer() as producer:
            for number in range(count):
                value = event(user, 1, START, f"{name}-{number}")
                producer.produce(cluster.events, value, b"%d" % user)

    send(7, 5, "counted")
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    before = cluster.committed(cluster.events)
    send(7, 20, "skipped")
    ends = {record.partition: record.offset + 1 for record in cluster.read(cluster.events)}
    (partition,) = ends
    move_group(cluster, cluster.events, lambda at: ends[partition] if at else at)
    send(7, 3, "after")
    worker.start()
    cluster.wait_until_applied()
    assert worker.get("/users/7")["total_videos_watched"] == 8
    (line,) = lines_with(worker, "the events between are skipped")
    skipped = ends[partition] - before[partition]
    assert f"group at {ends[partition]}, table at {before[partition]}" in line
    assert worker.metrics()['reels_events_skipped_total{reason="moved"}'] == skipped


@pytest.mark.parametrize("offsets", ["as they were", "translated"])
def test_a_topic_made_anew_with_more_records_than_before_is_refused(
    cluster: Cluster, stopped: Worker, offsets: str
) -> None:
    """No position is beyond its end. Translated: by a mirror to another cluster, or by hand."""
    cluster.admin.delete_topics([cluster.events])[cluster.events].result(30)
    cluster.create_topic(cluster.events)
    send_stream(cluster, untidy_stream(6000, seed=72))
    if offsets == "translated":
        ends = dict.fromkeys(range(cluster.partitions), 0)
        ends |= {record.partition: record.offset for record in cluster.read(cluster.events)}
        moved = [TopicPartition(cluster.events, *each) for each in ends.items()]
        asked = [ConsumerGroupTopicPartitions(cluster.app_id, moved)]
        for done in cluster.admin.alter_consumer_group_offsets(asked).values():
            done.result(30)
    stopped.launch()
    line = last_line(stopped)
    assert f"topic {cluster.events} has the id " in line
    assert "REELS_APP_ID" in line


@pytest.mark.slow
def test_another_input_topic_under_the_same_app_id_is_refused(
    cluster: Cluster, stopped: Worker
) -> None:
    other = f"{cluster.app_id}-other"
    cluster.create_topic(other)
    stopped.launch(REELS_EVENTS_TOPIC=other)
    line = last_line(stopped)
    assert f"built from topic {cluster.events}, but the settings name " in line
    assert other in line


def write_tables_without_positions(cluster: Cluster) -> None:
    """Rewrite the layout records as releases without positions did."""
    for changelog in (cluster.user_changelog, cluster.video_changelog):
        layouts = {
            record.partition: json.loads(record.value or b"")
            for record in cluster.read(changelog)
            if record.key == LAYOUT_KEY
        }
        with cluster.producer() as producer:
            for partition, layout in layouts.items():
                assert layout.pop("positions")
                value = json.dumps(layout).encode()
                producer.produce(changelog, value, LAYOUT_KEY, partition)


@pytest.mark.slow
@pytest.mark.parametrize("disk", ["same disk", "empty disk"])
def test_tables_of_a_release_without_positions_are_taken_over(
    cluster: Cluster, stopped: Worker, disk: str
) -> None:
    """The group's offsets give the positions, for the last time."""
    write_tables_without_positions(cluster)
    worker = stopped if disk == "same disk" else cluster.worker("b")
    worker.start()
    assert worker.terminate() == 0
    forget_group(cluster)
    send_stream(cluster, untidy_stream(1000, seed=73))
    worker.start()
    check_answers(cluster, worker)
    check_aftermath(cluster, worker)


@pytest.mark.slow
def test_tables_of_a_release_without_positions_need_the_group(
    cluster: Cluster, stopped: Worker
) -> None:
    write_tables_without_positions(cluster)
    forget_group(cluster)
    stopped.launch()
    assert "kept offsets only with the group" in last_line(stopped)
