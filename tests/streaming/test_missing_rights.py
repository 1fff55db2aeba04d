"""A missing right is not retried; the message names the right that an operator must grant."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from faust.types import TP

from embedded import EmbeddedKafka
from streaming.errors import ConfigurationError
from streaming.kafka.records import OutRecord
from tests.streaming.bench import producer_of
from tests.worker import TIMEOUT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster import Cluster


PROPERTIES = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


@pytest.fixture(scope="module")
def cluster(make_shared_cluster: Callable[..., Cluster]) -> Iterator[Cluster]:
    with EmbeddedKafka(properties=PROPERTIES) as kafka:
        cluster = make_shared_cluster(bootstrap=kafka.bootstrap, TOPIC_PARTITIONS=2)
        cluster.create_topic(cluster.events)
        cluster.create_topic(cluster.dead_letters)
        yield cluster


def deny(cluster: Cluster, kind: ResourceType, name: str, operation: AclOperation) -> None:
    """Deny a right to everybody, permanently."""
    rule = AclBinding(
        *(kind, name, ResourcePatternType.LITERAL),
        *("User:ANONYMOUS", "*", operation, AclPermissionType.DENY),
    )
    cluster.admin.create_acls([rule])[rule].result(TIMEOUT)
    place = AclBindingFilter(
        *(kind, name, ResourcePatternType.LITERAL),
        *(None, None, AclOperation.ANY, AclPermissionType.ANY),
    )
    wait_until(lambda: cluster.admin.describe_acls(place).result(TIMEOUT), "the right is gone")


async def test_a_topic_that_may_not_be_written_to_is_named_whatever_else_is_sent(
    cluster: Cluster,
) -> None:
    producer = producer_of(cluster, f"{cluster.app_id}-topic")
    await producer.start()
    deny(cluster, ResourceType.TOPIC, cluster.dead_letters, AclOperation.WRITE)

    async def send() -> None:
        async with producer.transaction() as transaction:
            for topic in (cluster.events, cluster.dead_letters):
                await transaction.send_records(topic, 0, [OutRecord(b"1", b"x")])
            await transaction.delivered()
            transaction.send_offsets({TP(cluster.events, 0): 1})

    with pytest.raises(ConfigurationError, match=rf"{cluster.dead_letters}.*Write") as caught:
        await send()
    assert "\n" not in str(caught.value)
    await producer.stop()
    assert cluster.read(cluster.events) == []


async def test_a_producer_that_may_not_start_leaves_no_connection_open(cluster: Cluster) -> None:
    name = f"{cluster.app_id}-start"
    deny(cluster, ResourceType.TRANSACTIONAL_ID, name, AclOperation.WRITE)
    with pytest.raises(ConfigurationError, match="transactional"):
        await producer_of(cluster, name).start()
    # aiokafka warns about each connection left open, which fails the test.
    gc.collect()


async def test_a_group_whose_offsets_may_not_be_changed_is_named(cluster: Cluster) -> None:
    producer = producer_of(cluster, f"{cluster.app_id}-group")
    await producer.start()
    deny(cluster, ResourceType.GROUP, cluster.app_id, AclOperation.READ)

    async def commit() -> None:
        async with producer.transaction() as transaction:
            transaction.send_offsets({TP(cluster.events, 0): 1})

    with pytest.raises(ConfigurationError, match=rf"{cluster.app_id}.*Read"):
        await commit()
    await producer.stop()


async def test_a_transactional_id_that_may_not_be_used_is_named_at_the_start(
    cluster: Cluster,
) -> None:
    name = f"{cluster.app_id}-denied"
    deny(cluster, ResourceType.TRANSACTIONAL_ID, name, AclOperation.WRITE)
    producer = producer_of(cluster, name)
    with pytest.raises(ConfigurationError, match=rf"{name}.*transactional ids"):
        await producer.start()
    await producer.stop()
