"""Faust's settings keep workers in the group."""

from __future__ import annotations

from types import SimpleNamespace

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from bootstrap import create_app
from settings import load

YEAR_S = 365 * 86_400


async def test_a_worker_without_partitions_stays_in_the_group() -> None:
    """It fetches nothing, and aiokafka takes an idle member out; see findings/."""
    app = create_app(load({}))
    thread = object.__new__(AIOKafkaConsumerThread)
    thread.app, thread.consumer = app, SimpleNamespace(in_transaction=False)
    consumer = AIOKafkaConsumerThread._create_worker_consumer(thread, app.transport)
    assert isinstance(consumer, AIOKafkaConsumer)
    assert consumer._max_poll_interval_ms >= 1000 * YEAR_S
    await consumer.stop()
