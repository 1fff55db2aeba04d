"""The consumer's thread: what it keeps of a fetch, and what it does when fetching ends."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ConsumerStoppedError
from aiokafka.structs import TopicPartition

from streaming.fetch.consumer_thread import BatchConsumerThread, _take_fetched
from streaming.kafka.batch_reader import unpack
from tests.streaming.bench import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.cluster import Cluster


@pytest.fixture
async def consumer(cluster: Cluster) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of two partitions with ten records each."""
    with cluster.producer() as producer:
        for partition in (0, 1):
            for number in range(10):
                producer.produce(cluster.events, b"%d" % number, b"key", partition)
    settings = {"bootstrap_servers": [cluster.bootstrap], "auto_offset_reset": "earliest"}
    consumer = AIOKafkaConsumer(**settings, group_id=None, enable_auto_commit=False)
    await consumer.start()
    consumer.assign([TopicPartition(cluster.events, partition) for partition in (0, 1)])
    yield consumer
    await consumer.stop()


async def test_a_paused_partition_holds_no_records_and_loses_none(
    cluster: Cluster, consumer: AIOKafkaConsumer
) -> None:
    """Faust assigns changelogs to the group's consumer, which fetches from them before a pause."""
    active, changelog = (TopicPartition(cluster.events, partition) for partition in (0, 1))
    fetcher: Any = consumer._fetcher
    await until(lambda: {active, changelog} <= fetcher._records.keys())
    consumer.pause(changelog)
    batches, _ = _take_fetched(fetcher, {active}, unpack)
    assert [len(batch.records) for batch in batches.values()] == [10]
    assert not fetcher._records
    consumer.resume(changelog)
    await until(lambda: changelog in fetcher._records)
    batches, _ = _take_fetched(fetcher, {changelog}, unpack)
    assert [(batch.start, batch.end) for batch in batches.values()] == [(0, 10)]


async def test_a_worker_whose_fetching_has_ended_gives_up(consumer: AIOKafkaConsumer) -> None:
    """It would otherwise look healthy, without lag, for ever."""
    fetcher: Any = consumer._fetcher
    fetcher._fetch_task.cancel()
    await asyncio.wait([fetcher._fetch_task])
    reasons: list[BaseException] = []
    app = SimpleNamespace(task_context=SimpleNamespace(unpack=unpack))
    thread: Any = SimpleNamespace(
        consumer=SimpleNamespace(flow_active=True, app=app), _give_up=reasons.append
    )
    with pytest.raises(ConsumerStoppedError):
        await BatchConsumerThread._fetch_records(thread, consumer, set(), 1.0)
    assert [str(reason) for reason in reasons] == ["fetching has ended: cancelled"]
