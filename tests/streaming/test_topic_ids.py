"""Topic ids of a real Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import TopicCollection

from streaming.kafka.topic_ids import topic_ids

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiokafka.client import AIOKafkaClient

    from tests.cluster import Cluster


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[AIOKafkaClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    yield admin._client
    await admin.close()


async def test_ids_are_those_that_other_clients_see(
    cluster: Cluster, client: AIOKafkaClient
) -> None:
    cluster.create_topic(cluster.viral)
    names = [cluster.events, cluster.viral]
    found = cluster.admin.describe_topics(TopicCollection(names))
    expected = {name: str(found[name].result(30).topic_id) for name in names}
    # librdkafka encodes them with another alphabet than Kafka's own tools.
    in_kafkas = str.maketrans("+/", "-_", "=")
    assert await topic_ids(client, names) == {
        name: topic_id.translate(in_kafkas) for name, topic_id in expected.items()
    }


async def test_a_topic_that_is_not_there_has_no_id_and_is_not_made(
    cluster: Cluster, client: AIOKafkaClient
) -> None:
    missing = f"{cluster.app_id}-missing"
    assert await topic_ids(client, [missing]) == {}
    assert missing not in cluster.admin.list_topics(timeout=30).topics


async def test_a_topic_made_anew_has_another_id(cluster: Cluster, client: AIOKafkaClient) -> None:
    before = await topic_ids(client, [cluster.events])
    cluster.admin.delete_topics([cluster.events])[cluster.events].result(30)
    cluster.create_topic(cluster.events)
    after = await topic_ids(client, [cluster.events])
    assert before[cluster.events]
    assert after[cluster.events] not in {"", before[cluster.events]}
