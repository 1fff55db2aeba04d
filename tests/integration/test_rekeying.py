"""Events in the wrong partition are passed on to the right one, and count there, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration import checks
from tests.integration.stream import START, event
from tests.oracle import Rules
from tests.oracle_events import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster
    from tests.oracle import Record
    from tests.worker import Worker

USER = 987_654_321
PARTITIONS = 4
HOME = partition_of(USER, PARTITIONS)
ELSEWHERE = (HOME + 1) % PARTITIONS


@pytest.fixture(scope="module")
def cluster(make_shared_cluster: Callable[..., Cluster]) -> Cluster:
    """Run one worker for all tests here; each test has its own users."""
    cluster = make_shared_cluster(TOPIC_PARTITIONS=PARTITIONS)
    cluster.create_topic(cluster.events)
    cluster.worker().start()
    return cluster


@pytest.fixture
def worker(cluster: Cluster) -> Worker:
    return cluster.workers[0]


def found_in(cluster: Cluster, topic: str, value: bytes) -> list[Record]:
    return [record for record in cluster.read(topic) if record.value == value]


def test_an_event_without_a_key_counts_once_in_its_users_partition(
    cluster: Cluster, worker: Worker
) -> None:
    value = event(USER, 1, START, "unkeyed")
    with cluster.producer() as producer:
        producer.produce(cluster.events, value, None, ELSEWHERE, headers=[("trace", b"17")])
    cluster.wait_until_applied()
    (sent,) = found_in(cluster, cluster.events, value)
    (passed_on,) = found_in(cluster, cluster.repartition, value)
    assert (sent.partition, sent.key) == (ELSEWHERE, None)
    assert (passed_on.partition, passed_on.key) == (HOME, b"%d" % USER)
    assert passed_on.headers == sent.headers
    assert passed_on.timestamp == sent.timestamp
    assert worker.get(f"/users/{USER}")["total_videos_watched"] == 1


@pytest.mark.parametrize("key", [b"session-17", b"", b"\xff\x00", b"1"])
def test_an_event_in_its_users_partition_counts_where_it_lies_whatever_its_key(
    cluster: Cluster, worker: Worker, key: bytes
) -> None:
    user = next(
        u for u in range(100 + 1000 * len(key), 10**9) if partition_of(u, PARTITIONS) == HOME
    )
    value = event(user, 1, START, f"odd-{key!r}")
    with cluster.producer() as producer:
        producer.produce(cluster.events, value, key, HOME)
    cluster.wait_until_applied()
    (only,) = found_in(cluster, cluster.events, value)
    assert (only.partition, only.key) == (HOME, key)
    assert found_in(cluster, cluster.repartition, value) == []
    assert worker.get(f"/users/{user}")["total_videos_watched"] == 1


def test_a_duplicate_is_known_whichever_way_each_of_the_two_came(
    cluster: Cluster, worker: Worker
) -> None:
    user = next(u for u in range(50, 99) if partition_of(u, PARTITIONS) == HOME)
    value = event(user, 1, START, "twice")
    with cluster.producer() as producer:
        producer.produce(cluster.events, value, b"%d" % user, HOME)
        producer.produce(cluster.events, value, b"x", ELSEWHERE)
        producer.produce(cluster.events, value, None, ELSEWHERE)
    cluster.wait_until_applied()
    assert len(found_in(cluster, cluster.events, value)) == 3
    assert len(found_in(cluster, cluster.repartition, value)) == 2
    assert worker.get(f"/users/{user}")["total_videos_watched"] == 1


def test_what_is_no_event_is_never_passed_on(cluster: Cluster) -> None:
    value = b'{"user_id": 5'
    with cluster.producer() as producer:
        for partition in range(PARTITIONS):
            producer.produce(cluster.events, value, b"5", partition)
    cluster.wait_until_applied()
    assert len(found_in(cluster, cluster.events, value)) == PARTITIONS
    assert found_in(cluster, cluster.repartition, value) == []
    checks.check_dead_letters(cluster, checks.ask_oracle(cluster, Rules(PARTITIONS)))


def test_librdkafkas_default_partitioner_does_no_harm(cluster: Cluster, worker: Worker) -> None:
    users = range(10_000, 10_040)
    with cluster.producer(partitioner="consistent_random") as producer:
        for user in users:
            value = event(user, 1, START, f"librdkafka-{user}")
            producer.produce(cluster.events, value, b"%d" % user)
    cluster.wait_until_applied()
    oracle = checks.ask_oracle(cluster, Rules(PARTITIONS))
    assert oracle.outcomes["rekeyed"] > 10
    checks.check_users_over_http(worker, oracle, users)
    assert {worker.get(f"/users/{user}")["total_videos_watched"] for user in users} == {1}
