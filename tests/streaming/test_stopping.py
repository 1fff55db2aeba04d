"""Producers end within a limited time, and leave nothing behind, even if no broker answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.types import TP

from streaming.errors import TransactionFailedError
from streaming.kafka import producer as producing
from streaming.kafka.producer import TransactionalProducer
from streaming.kafka.records import OutRecord
from tests.faults.proxy import WiredKafka

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

TOPIC = "events"


@pytest.fixture(scope="module")
def kafka() -> Iterator[WiredKafka]:
    with WiredKafka() as kafka:
        asyncio.run(create_topic(kafka))
        yield kafka


async def create_topic(kafka: WiredKafka) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address_of(kafka))
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 1, 1)])
    await admin.close()


def address_of(kafka: WiredKafka) -> str:
    return kafka.workers_url.removeprefix("kafka://")


@pytest.fixture
async def producer(kafka: WiredKafka) -> TransactionalProducer:
    """Return a started producer behind the proxy, with a short time-out."""
    kafka.wire.mend()
    settings = {"bootstrap_servers": address_of(kafka), "request_timeout_ms": 1000}
    made = TransactionalProducer("sender", "readers", settings)
    await made.start()
    await transact(made)
    return made


async def transact(producer: TransactionalProducer) -> None:
    async with producer.transaction() as transaction:
        await transaction.send_records(TOPIC, 0, [OutRecord(b"1", b"value")])


async def wait_for_the_last(producer: TransactionalProducer) -> None:
    await producer.last_ended(TP(TOPIC, 0))


@pytest.mark.parametrize("fault", ["hold", "disconnect"])
@pytest.mark.parametrize("work", [transact, wait_for_the_last])
async def test_a_producer_whose_brokers_do_not_answer_ends_with_all_its_tasks(
    kafka: WiredKafka,
    producer: TransactionalProducer,
    fault: str,
    work: Callable[[TransactionalProducer], Awaitable[None]],
) -> None:
    client = producer._producer
    assert client is not None
    getattr(kafka.wire, fault)()
    with pytest.raises(TransactionFailedError):
        await work(producer)
    async with asyncio.timeout(10):
        await producer.stop()
    await asyncio.sleep(0)
    names = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
    assert not [each for each in names if each.startswith(("Sender", "MessageAcc", "AIOKafkaCl"))]
    assert not any(each.connected() for each in client.client._conns.values())


async def test_a_start_that_no_broker_answers_fails_after_a_while(
    kafka: WiredKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producing, "START_TIMEOUT_S", 1.0)
    kafka.wire.mend()
    kafka.wire.hold()
    settings = {"bootstrap_servers": address_of(kafka), "request_timeout_ms": 5000}
    with pytest.raises(TransactionFailedError, match="sender: no transaction can begin after 1 s"):
        await TransactionalProducer("sender", "readers", settings).start()
    kafka.wire.mend()
