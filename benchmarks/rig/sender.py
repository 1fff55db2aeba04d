"""Sends a spool, each tick when it is due: ``python -m benchmarks.rig.sender SERVER TOPIC SPOOL``.

Ends with a line of JSON: ``late_s``, the largest delay of a tick; ``seconds`` from the first tick
to the last acknowledgement; ``ended``, the time of that, in seconds since the epoch.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import TopicPartition

from benchmarks.rig.spool import TICK_S, Spool, stamp
from streaming.kafka.patches.produce_requests import FlatProduceRequest

_TIMEOUT_MS = 10_000
#: Most requests in flight: beyond that the broker is too slow, and the sender waits.
_UNDER_WAY = 64


class SendFailedError(Exception):
    """Kafka has refused a batch."""


async def send(server: str, topic: str, spool: Spool) -> dict[str, float]:
    """Send all of ``spool``; return the fields of the line of JSON."""
    client = AIOKafkaClient(bootstrap_servers=server)
    await client.bootstrap()
    try:
        await client._wait_on_metadata(topic)
        under_way: set[asyncio.Task[None]] = set()
        late_s = 0.0
        begun = time.monotonic()
        for number, batches in enumerate(spool.ticks()):
            early_s = begun + number * TICK_S - time.monotonic()
            if early_s > 0:
                await asyncio.sleep(early_s)
            late_s = max(late_s, -early_s)
            if len(under_way) >= _UNDER_WAY:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(_produce(client, topic, batches))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        sent = {"late_s": late_s, "seconds": time.monotonic() - begun, "ended": time.time()}
    finally:
        await client.close()
    return sent


async def _produce(
    client: AIOKafkaClient, topic: str, batches: list[tuple[int, bytearray]]
) -> None:
    now_ms = time.time_ns() // 1_000_000
    for _, batch in batches:
        stamp(batch, now_ms)
    # One broker leads all partitions.
    leader = client.cluster.leader_for_partition(TopicPartition(topic, batches[0][0]))
    request = FlatProduceRequest(
        transactional_id=None,
        required_acks=-1,
        timeout=_TIMEOUT_MS,
        topics=[(topic, batches)],
    )
    response = await client.send(leader, request)
    for _, partitions in response.topics:
        for partition, error, *_ in partitions:
            if error:
                raise SendFailedError(f"partition {partition}: Kafka's error {error}")


if __name__ == "__main__":
    print(json.dumps(uvloop.run(send(sys.argv[1], sys.argv[2], Spool(Path(sys.argv[3]))))))
