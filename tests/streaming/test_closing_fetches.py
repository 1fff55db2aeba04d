"""Consumers stop without an error, whatever their fetches wait for."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.structs import TopicPartition

from tests.streaming.bench import NEVER


async def test_a_consumer_stops_while_fetches_wait_for_their_next_attempt() -> None:
    """As when no broker answers: one fetch per broker sleeps."""
    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    consumer._subscription.assign_from_user({TopicPartition("events", 0)})
    fetcher = consumer._fetcher = Fetcher(consumer._client, consumer._subscription)
    await asyncio.sleep(0.01)
    fetches = [asyncio.create_task(asyncio.sleep(NEVER)) for _ in range(2)]
    fetcher._pending_tasks.update(fetches)
    await consumer.stop()
    assert all(fetch.cancelled() for fetch in fetches)
    assert fetcher._fetch_task.done()


async def test_a_consumer_stops_while_its_fetcher_ends_fetches_of_a_former_assignment() -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    fetcher = consumer._fetcher = Fetcher(consumer._client, consumer._subscription)
    fetcher._pending_tasks.add(asyncio.create_task(asyncio.sleep(NEVER)))
    await asyncio.sleep(0)
    await consumer.stop()
    assert fetcher._fetch_task.done()
