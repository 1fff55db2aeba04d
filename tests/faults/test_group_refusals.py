"""Refusals of the group's coordinator: waited for if they can pass, else fatal in one line."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from embedded import EmbeddedKafka
from tests.integration.stream import START, event
from tests.integration.test_bad_starts import refusal
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import TopicPartition

    from tests.cluster import Cluster
    from tests.worker import Json, Worker


pytestmark = pytest.mark.faults


@contextmanager
def stranger(cluster: Cluster, **config: str) -> Iterator[Consumer]:
    """Another kind of program, a member of the worker's group with partitions of its own."""
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "group.id": cluster.app_id,
            "enable.auto.commit": False,
            "log_level": 3,
            **{key.replace("_", "."): value for key, value in config.items()},
        }
    )
    consumer.subscribe([cluster.events])
    try:
        yield consumer
    finally:
        consumer.close()


def has_partitions(consumer: Consumer) -> list[TopicPartition]:
    consumer.poll(0.1)
    found: list[TopicPartition] = consumer.assignment()
    return found


def health(worker: Worker, path: str) -> tuple[int, Json]:
    """Return the status and the body of a health route."""
    try:
        with urllib.request.urlopen(worker.url(path), timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def attempts(worker: Worker) -> list[str]:
    return [line for line in worker.output().splitlines() if "; again in" in line]


@pytest.fixture(scope="module")
def strict_broker() -> Iterator[EmbeddedKafka]:
    """Allows sessions of 6 to 15 s, and has ACLs: whatever is not denied is allowed."""
    properties = {
        "group.min.session.timeout.ms": "6000",
        "group.max.session.timeout.ms": "15000",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with EmbeddedKafka(properties=properties) as kafka:
        yield kafka


@pytest.fixture
def strict_cluster(strict_broker: EmbeddedKafka, make_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_cluster(bootstrap=strict_broker.bootstrap, BROKER_SESSION_TIMEOUT=6)
    cluster.create_topic(cluster.events)
    return cluster


@contextmanager
def group_denied(cluster: Cluster) -> Iterator[None]:
    """Deny everybody the right to read the worker's group."""
    to_group = ResourceType.GROUP, cluster.app_id, ResourcePatternType.LITERAL
    everybody = "User:*", "*"
    # Once a resource has a rule, only operations that a rule allows are allowed.
    rules = [
        AclBinding(*to_group, *everybody, AclOperation.READ, AclPermissionType.DENY),
        AclBinding(*to_group, *everybody, AclOperation.ALL, AclPermissionType.ALLOW),
    ]
    for done in cluster.admin.create_acls(rules).values():
        done.result(20)
    try:
        yield
    finally:
        (deleted,) = cluster.admin.delete_acls(
            [AclBindingFilter(*to_group, None, None, AclOperation.ANY, AclPermissionType.ANY)]
        ).values()
        assert len(deleted.result(20)) == len(rules)


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_cluster(BROKER_SESSION_TIMEOUT=6)
    cluster.create_topic(cluster.events)
    return cluster


def count_one(cluster: Cluster, worker: Worker) -> None:
    with cluster.producer() as producer:
        producer.produce(cluster.events, event(5, 1, START, 1), b"5")
    cluster.wait_until_applied()
    assert worker.get("/users/5")["total_videos_watched"] == 1


@pytest.mark.parametrize("protocol", ["classic", pytest.param("consumer", marks=pytest.mark.slow)])
def test_a_stranger_in_the_group_is_waited_for_and_named_meanwhile(
    cluster: Cluster, protocol: str
) -> None:
    """It may leave; until then the worker asks again, with growing pauses and a line each time.

    The brokers answer differently if the stranger uses the group protocol of Kafka 4.
    """
    with stranger(cluster, group_protocol=protocol) as consumer:
        wait_until(lambda: has_partitions(consumer), "the stranger is in the group")
        worker = cluster.worker().launch()
        wait_until(lambda: len(attempts(worker)) >= 2, "it tries again")
        for path in ("/readyz", "/healthz"):
            assert "REELS_APP_ID" in str(health(worker, path))
        assert worker.status("/readyz") == 503
        assert worker.status("/healthz") == 200
    worker.wait_ready()
    count_one(cluster, worker)
    assert health(worker, "/healthz") == (200, {"status": "ok"})
    first, second = attempts(worker)[:2]
    assert cluster.app_id in first
    assert "again in 1 s" in first
    assert "again in 2 s" in second
    assert worker.terminate() == 0
    assert "Traceback" not in worker.output()


def test_a_second_worker_with_the_same_instance_id_ends_the_first(cluster: Cluster) -> None:
    """This is Kafka's rule: a worker whose disk was lost takes its own place again."""
    first, second = (cluster.worker(n, CONSUMER_GROUP_INSTANCE_ID="same") for n in "ab")
    first.start()
    second.launch()
    assert first.wait_exit() == 1
    line = refusal(first)
    assert "CONSUMER_GROUP_INSTANCE_ID = same" in line
    second.wait_ready()
    count_one(cluster, second)
    assert second.terminate() == 0


@pytest.mark.slow
def test_two_workers_with_one_instance_id_that_start_at_once_come_to_one(cluster: Cluster) -> None:
    first, second = (cluster.worker(n, CONSUMER_GROUP_INSTANCE_ID="same").launch() for n in "ab")
    wait_until(lambda: not (first.running and second.running), "one has ended")
    ended, other = (second, first) if first.running else (first, second)
    assert ended.exit_code == 1
    assert "CONSUMER_GROUP_INSTANCE_ID = same" in refusal(ended)
    other.wait_ready()
    count_one(cluster, other)
    assert other.terminate() == 0


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_a_session_timeout_that_brokers_do_not_allow_ends_the_worker(
    strict_cluster: Cluster, seconds: int
) -> None:
    worker = strict_cluster.worker(BROKER_SESSION_TIMEOUT=seconds).launch()
    assert worker.wait_exit() == 1
    line = refusal(worker)
    assert f"BROKER_SESSION_TIMEOUT = {seconds}" in line
    assert "6 to 15" in line


def test_a_group_that_may_not_be_read_ends_a_worker_that_starts(strict_cluster: Cluster) -> None:
    with group_denied(strict_cluster):
        worker = strict_cluster.worker().launch()
        assert worker.wait_exit() == 1
    line = refusal(worker)
    assert f"group {strict_cluster.app_id}" in line


@pytest.mark.slow
def test_a_right_that_is_withdrawn_under_a_running_worker_is_waited_for(
    strict_cluster: Cluster,
) -> None:
    worker = strict_cluster.worker().start()
    with group_denied(strict_cluster):
        wait_until(lambda: len(attempts(worker)) >= 2, "it tries again")
        assert worker.status("/readyz") == 503
        assert "grant READ" in str(health(worker, "/readyz"))
        assert worker.status("/healthz") == 200
    worker.wait_ready()
    count_one(strict_cluster, worker)
    assert worker.terminate() == 0
    assert "Traceback" not in worker.output()
