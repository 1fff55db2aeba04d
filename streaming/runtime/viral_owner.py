"""Check at the start that no other app writes to the viral topic.

Each flag of a viral video has a header with the name of the app that wrote it. The last records of
each partition show the topic's owner; compaction keeps the last record of each video. Records of
earlier releases have no header and no owner: the first app that starts on such a topic takes it
over. If two apps start on an empty topic, their readers skip, log and count each other's records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiokafka import TopicPartition

from models.schema import SOURCE_APP
from streaming.errors import StartError
from streaming.restore.changelog import POLL_MS, changelog_consumer
from streaming.restore.changelog_fetch import fetch_changes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import AIOKafkaConsumer

#: Offsets at the end of each partition that are read first. They nearly always include a record,
#: although transaction markers follow records, and take some kilobytes per partition.
TAIL_OFFSETS: Final = 50


async def check_owner(
    client_settings: Mapping[str, Any], topic: str, partitions: int, app_id: str
) -> None:
    """Refuse to write to the viral topic of another app.

    Raises:
        StartError: another app wrote the last records of a partition.
        KafkaError: the brokers do not answer.
    """
    async with changelog_consumer(client_settings) as consumer:
        tps = [TopicPartition(topic, partition) for partition in range(partitions)]
        begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        starts = {
            tp: max(begins[tp], ends[tp] - TAIL_OFFSETS) for tp in tps if ends[tp] > begins[tp]
        }
        writers, read = await _last_writers(consumer, starts, ends)
        # Compaction or aborted transactions may have left no record there.
        if older := {tp: begins[tp] for tp in starts.keys() - read if starts[tp] > begins[tp]}:
            found, _ = await _last_writers(consumer, older, ends)
            writers |= found
    if others := sorted({app.decode(errors="replace") for app in writers.values()} - {app_id}):
        raise StartError(
            f"the topic {topic} has the viral videos of another app, {', '.join(others)}: set "
            "REELS_VIRAL_TOPIC to a topic of this app alone. If that app is gone for good, delete "
            "the topic: the next start recreates it with all videos that are viral then"
        )


async def _last_writers(
    consumer: AIOKafkaConsumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> tuple[dict[TopicPartition, bytes], set[TopicPartition]]:
    """Read from ``starts`` to ``ends``.

    Returns:
        The app of the last record that names one, by partition, and the partitions with any record.
    """
    writers: dict[TopicPartition, bytes] = {}
    read: set[TopicPartition] = set()
    consumer.assign(list(starts))
    for tp, start in starts.items():
        consumer.seek(tp, start)
    while [tp for tp in starts if await consumer.position(tp) < ends[tp]]:
        for tp, chunk in (await fetch_changes(consumer, POLL_MS / 1000)).items():
            read.add(TopicPartition(*tp))
            named = [
                value for each in chunk.read for name, value in each.headers if name == SOURCE_APP
            ]
            if named:
                writers[TopicPartition(*tp)] = named[-1]
    return writers, read
