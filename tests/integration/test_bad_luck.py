"""What happens to brokers, disks and topics while the program runs changes no count."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest
from confluent_kafka import TopicPartition

from embedded import EmbeddedKafka
from tests.integration import checks
from tests.integration.stream import START, event, send_stream, untidy_stream
from tests.oracle import Rules
from tests.oracle_events import partition_of
from tests.worker import wait_until


def check_all(cluster, *workers):
    """Everything that the workers say is what the oracle says."""
    oracle = checks.ask_oracle(cluster, Rules(cluster.partitions))
    checks.check_dead_letters(cluster, oracle)
    checks.check_changelogs(cluster, oracle)
    for worker in workers:
        worker.wait_ready()
        checks.check_users_over_http(worker, oracle, sorted(oracle.of_user))
        checks.check_videos_over_http(worker, oracle, sorted(oracle.of_video))


def test_a_broker_that_dies_and_comes_back_changes_nothing(make_cluster):
    with EmbeddedKafka() as kafka:
        cluster = make_cluster(bootstrap=kafka.bootstrap)
        cluster.create_topic(cluster.events)
        worker = cluster.worker().start()
        stream = untidy_stream(40_000, seed=10)
        send_stream(cluster, stream[:30_000])
        wait_until(lambda: any(cluster.committed(cluster.events).values()), "the first commit")
        kafka.kill()
        kafka.restart()
        send_stream(cluster, stream[30_000:])
        cluster.wait_until_applied(120)
        check_all(cluster, worker)
        assert worker.terminate() == 0


def test_a_standby_takes_over_what_a_dead_worker_had(make_cluster):
    cluster = make_cluster(TABLE_STANDBY_REPLICAS=1, BROKER_SESSION_TIMEOUT=6)
    cluster.create_topic(cluster.events)
    first, second = cluster.worker("a").start(), cluster.worker("b").start()
    stream = untidy_stream(20_000, seed=14)
    send_stream(cluster, stream[:10_000])
    cluster.wait_until_applied()
    first.kill()
    send_stream(cluster, stream[10_000:])
    cluster.wait_until_applied()
    check_all(cluster, second)
    first.start()
    check_all(cluster, first, second)


def test_a_worker_that_slept_through_its_session_does_no_harm_when_it_wakes(make_cluster):
    """It still believes that its partitions are its own, and has uncommitted events of them.

    ::

        a    |---- folds, commits ----|      asleep      |-- fenced, joins again --|
        b    |-----------------------------| takes over a's partitions ------------|
    """
    cluster = make_cluster(BROKER_SESSION_TIMEOUT=6)
    cluster.create_topic(cluster.events)
    first, second = cluster.worker("a").start(), cluster.worker("b").start()
    stream = untidy_stream(40_000, seed=15)
    send_stream(cluster, stream[:20_000])
    wait_until(lambda: any(cluster.committed(cluster.events).values()), "the first commit")
    os.kill(first.pid, signal.SIGSTOP)
    try:
        send_stream(cluster, stream[20_000:30_000])
        cluster.wait_until_applied()
    finally:
        os.kill(first.pid, signal.SIGCONT)
    send_stream(cluster, stream[30_000:])
    cluster.wait_until_applied()
    check_all(cluster, first, second)


def test_a_data_directory_of_another_program_is_not_taken_for_ours(make_cluster):
    """The second program's changelog is longer than the first one's: only offsets look alike."""
    other, cluster = make_cluster(), make_cluster()
    for each, size in ((other, 3000), (cluster, 9000)):
        each.create_topic(each.events)
        worker = each.worker().start()
        send_stream(each, untidy_stream(size, seed=size))
        each.wait_until_applied()
        assert worker.terminate() == 0
    (first,), (second,) = other.workers, cluster.workers
    shutil.rmtree(second.data_dir)
    shutil.copytree(first.data_dir, second.data_dir)
    second.start()
    check_all(cluster, second)


def test_a_lost_data_directory_is_built_anew(make_cluster):
    cluster = make_cluster()
    cluster.create_topic(cluster.events)
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(9000, seed=11))
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    shutil.rmtree(worker.data_dir)
    worker.start()
    check_all(cluster, worker)


def test_a_damaged_database_is_built_anew(make_cluster):
    cluster = make_cluster()
    cluster.create_topic(cluster.events)
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(3000, seed=12))
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    for damaged in worker.data_dir.glob("**/*.db/MANIFEST-*"):
        damaged.write_bytes(b"\x00 damaged" * 100)
    worker.start()
    check_all(cluster, worker)


@pytest.mark.parametrize("state", ["stopped", "paused"])
def test_events_deleted_before_they_were_read_are_reported_and_passed_over(make_cluster, state):
    cluster = make_cluster()
    cluster.create_topic(cluster.events)
    first, second = [u for u in range(1, 99) if partition_of(u, cluster.partitions) == 0][:2]

    def send(user, number):
        with cluster.producer() as producer:
            producer.produce(cluster.events, event(user, 1, START, number), b"x", 0)

    send(first, 0)
    worker = cluster.worker().start()
    cluster.wait_until_applied()
    if state == "stopped":
        assert worker.terminate() == 0
    else:
        os.kill(worker.pid, signal.SIGSTOP)
        # The broker answers the fetch that is under way: it may not bring what is sent next.
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


def test_a_dead_letter_topic_with_fewer_partitions_does_not_stop_the_program(make_cluster):
    """It may be shared by several programs, or made before this one."""
    cluster = make_cluster()
    cluster.create_topic(cluster.events)
    cluster.create_topic(cluster.dead_letters, partitions=1)
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(3000, seed=13))
    cluster.wait_until_applied()
    check_all(cluster, worker)
