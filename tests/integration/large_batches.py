"""Batches that are small in Kafka and large once they are decompressed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer

from tests.integration.stream import START, event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.cluster import Cluster

MIB = 1 << 20


def padded_events(users: Iterable[int], each: int, padding: int) -> list[tuple[bytes, bytes]]:
    """Return ``each`` events of all ``users``, with ``padding`` bytes in an unknown field."""
    return [
        (b"%d" % user, event(user, 1, START + number, f"{user}-{number}", note="x" * padding))
        for number in range(each)
        for user in users
    ]


def send_batch(
    cluster: Cluster, partition: int, records: Iterable[tuple[bytes, bytes]], compression: str
) -> None:
    """Send ``records`` (keys and values) as a single batch."""

    async def send() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=cluster.bootstrap,
            compression_type=compression,
            max_batch_size=1 << 30,
            max_request_size=1 << 30,
        )
        await producer.start()
        try:
            batch = producer.create_batch()
            for key, value in records:
                assert batch.append(key=key, value=value, timestamp=START) is not None
            batch.close()
            await (await producer.send_batch(batch, cluster.events, partition=partition))
        finally:
            await producer.stop()

    asyncio.run(send())
