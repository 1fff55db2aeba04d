"""Topic limits are read from the brokers and learnt from their refusals."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import (
    InvalidTimestampError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownError,
)

from streaming.errors import ConfigurationError, RefusedError
from streaming.kafka.clients import REQUEST_TIMEOUT_MS
from streaming.kafka.records import OutRecord
from streaming.kafka.refused_records import advice, refusal
from streaming.kafka.topic_limits import DEFAULT_BATCH_BYTES, MAX_BATCH_BYTES, Limits, TopicLimits
from tests.streaming.bench import producer_of
from tests.worker import wait_until_equal

if TYPE_CHECKING:
    from streaming.errors import Refusal
    from streaming.kafka.producer import TransactionalProducer
    from tests.cluster import Cluster


HOUR = 3_600_000


def limits_of(cluster: Cluster, *topics: str) -> Limits:
    settings = {
        "bootstrap_servers": [cluster.bootstrap],
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
    }
    return Limits(settings, topics)


def refused(topic: str, reason: BaseException, *records: OutRecord) -> Refusal:
    return refusal(topic, 0, list(records) or [OutRecord(b"1", b"x" * 100)], reason)


async def test_they_are_as_the_topics_settings_say_and_as_they_become(cluster: Cluster) -> None:
    cluster.create_topic(cluster.dead_letters, max_message_bytes="5000", cleanup_policy="compact")
    limits = limits_of(cluster, cluster.events, cluster.dead_letters)
    assert limits.of(cluster.events) == TopicLimits()
    await limits.refresh()
    assert limits.of(cluster.events).batch_bytes == 4 << 20
    assert limits.of(cluster.dead_letters).batch_bytes == 5000
    assert limits.of(cluster.dead_letters).needs_keys
    cluster.alter_topic(cluster.events, message_timestamp_before_max_ms=HOUR)
    cluster.alter_topic(cluster.dead_letters, max_message_bytes=64 << 20, cleanup_policy="delete")
    await limits.refresh()
    assert limits.of(cluster.events).before_ms == HOUR
    assert limits.of(cluster.dead_letters).batch_bytes == MAX_BATCH_BYTES
    assert not limits.of(cluster.dead_letters).needs_keys


async def test_of_a_topic_that_sets_the_time_itself_no_time_is_refused(cluster: Cluster) -> None:
    cluster.alter_topic(
        cluster.events,
        message_timestamp_type="LogAppendTime",
        message_timestamp_after_max_ms=HOUR,
        message_timestamp_before_max_ms=HOUR,
    )
    limits = limits_of(cluster, cluster.events)
    await limits.refresh()
    assert limits.of(cluster.events)[1:3] == TopicLimits()[1:3]


async def test_without_an_answer_they_stay_as_they_are(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    limits = limits_of(cluster, cluster.events, f"{cluster.events}-none")
    await limits.refresh()
    assert f"the brokers do not describe the topics {cluster.events}-none" in caplog.text
    nobody = Limits({"bootstrap_servers": ["127.0.0.1:1"]}, [cluster.events])
    with caplog.at_level(logging.CRITICAL, "aiokafka"):
        await nobody.refresh()
    assert nobody.of(cluster.events) == TopicLimits()


async def test_a_topic_that_refuses_what_it_seems_to_allow_is_sent_less_and_less() -> None:
    limits = Limits()
    size = MessageSizeTooLargeError()
    await limits.learn(refused("out", size, OutRecord(b"1", bytes(6 << 20))))
    assert limits.of("out").batch_bytes == DEFAULT_BATCH_BYTES
    await limits.learn(refused("out", size, OutRecord(b"1", bytes(10_000))))
    assert 5000 <= limits.of("out").batch_bytes < 5100
    many = [OutRecord(b"1", b"x")] * 10_000
    for topic, half in (("small", 128 << 10), ("small", 64 << 10), ("small", 32 << 10)):
        await limits.learn(refused(topic, size, *many))
        assert limits.of(topic).batch_bytes == half
    # A record that the known limits cannot cut teaches nothing new.
    await limits.learn(refused("small", size, OutRecord(b"1", bytes(100_000))))
    assert limits.of("small").batch_bytes == 32 << 10
    await limits.learn(refused("out", InvalidTimestampError()))
    assert limits.of("out").before_ms == limits.of("out").after_ms == 0
    assert limits.of("another") == TopicLimits()


async def test_what_was_learnt_is_forgotten_when_the_topics_settings_change(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    limits = limits_of(cluster, cluster.events)
    await limits.refresh()
    await limits.learn(refused(cluster.events, MessageSizeTooLargeError()))
    assert limits.of(cluster.events).batch_bytes < 200
    await limits.refresh()
    assert limits.of(cluster.events).batch_bytes < 200
    cluster.alter_topic(cluster.events, max_message_bytes=6000)
    await limits.refresh()
    assert limits.of(cluster.events).batch_bytes == 6000
    (*_, line) = [record.getMessage() for record in caplog.records if "now fit" in record.message]
    assert f"topic {cluster.events} now fit its limits: batches of 6,000" in line


async def test_what_a_topic_refuses_is_said_in_one_line_with_topic_record_and_setting(
    cluster: Cluster,
) -> None:
    cluster.alter_topic(
        cluster.events, max_message_bytes=1000, message_timestamp_before_max_ms=HOUR
    )
    source = [("source.topic", b"in"), ("source.partition", b"3"), ("source.offset", b"17")]
    good = OutRecord(b"1", b"good")
    for number, (bad, said) in enumerate(
        (
            (
                OutRecord(b"1", bytes(2000), source),
                "the dead letter of topic in, partition 3, offset 17, of 2,",
            ),
            (OutRecord(b"7", b"", (), 1_736_951_445_123), "timestamp 1736951445123 for its time"),
        )
    ):
        producer = producer_of(cluster, f"{cluster.app_id}-{number}")
        await producer.start()
        try:
            with pytest.raises(RefusedError) as caught:
                await send(producer, cluster.events, good, bad, good)
        finally:
            await producer.stop()
        assert str(caught.value).startswith(f"topic {cluster.events}, partition 0, refuses")
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    assert cluster.read(cluster.events) == []


async def send(producer: TransactionalProducer, topic: str, *records: OutRecord) -> None:
    async with producer.transaction() as transaction:
        await transaction.send_records(topic, 0, records)


async def test_batches_are_no_larger_than_the_topic_takes(cluster: Cluster) -> None:
    cluster.alter_topic(cluster.events, max_message_bytes=20_000)
    limits = limits_of(cluster, cluster.events)
    await limits.refresh()
    producer = producer_of(cluster, cluster.app_id, limits=limits)
    await producer.start()
    try:
        async with producer.transaction() as transaction:
            await transaction.send_values(
                cluster.events, 0, {b"%d" % number: bytes(500) for number in range(500)}
            )
            await transaction.send_records(cluster.events, 1, [OutRecord(None, bytes(500))] * 500)
    finally:
        await producer.stop()
    # A transaction ends before its markers are written.
    await asyncio.to_thread(wait_until_equal, lambda: len(cluster.read(cluster.events)), 1000)


def test_a_compacted_topic_takes_no_record_without_a_key_in_any_form() -> None:
    limits = Limits()
    limits._described["out"] = TopicLimits(needs_keys=True)
    with pytest.raises(ConfigurationError, match=r"topic out is compacted.*cleanup\.policy"):
        limits.learn(refused("out", UnknownError(), OutRecord(None, b"x"))).send(None)


@pytest.mark.parametrize(
    ("exc", "said"),
    [
        (TopicAuthorizationFailedError({"out"}), "Write on the topic"),
        (TransactionalIdAuthorizationFailed("reels-0"), "reels-0"),
    ],
)
def test_a_missing_right_is_named(exc: BaseException, said: str) -> None:
    assert said in advice(exc)
    assert "\n" not in advice(exc)
