"""The viral topic has one writer: an app does not start on another's.

Each flag of a viral video bears the name of the app that has written it, as a header. The last
records of each partition tell whose the topic is; compaction keeps the last one of each video.
Records of a release before the header have none: they are anybody's, and whoever starts first on
such a topic takes it over. Two apps that start on an empty topic are found by their readers, who
pass over each other's records, say so and count them.
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

#: Offsets at the end of each partition that are looked at first. A transaction's marker follows its
#: records, so the last record is nearly always among them, in some kilobytes per partition.
TAIL: Final = 50


async def check_owner(
    client_settings: Mapping[str, Any], topic: str, partitions: int, app_id: str
) -> None:
    """Refuse to write to the viral topic of another app.

    Raises:
        StartError: another app has written the last records of a partition.
        KafkaError: the brokers do not answer.
    """
    async with changelog_consumer(client_settings) as consumer:
        tps = [TopicPartition(topic, partition) for partition in range(partitions)]
        begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        starts = {tp: max(begins[tp], ends[tp] - TAIL) for tp in tps if ends[tp] > begins[tp]}
        writers, read = await _last_writers(consumer, starts, ends)
        # Compaction, or transactions that were aborted, may have left nothing among them.
        if older := {tp: begins[tp] for tp in starts.keys() - read if starts[tp] > begins[tp]}:
            found, _ = await _last_writers(consumer, older, ends)
            writers |= found
    if others := sorted({app.decode(errors="replace") for app in writers.values()} - {app_id}):
        raise StartError(
            f"the topic {topic} has the viral videos of another app, {', '.join(others)}: set "
            "REELS_VIRAL_TOPIC to a topic of this app's own. If that app is gone for good, delete "
            "the topic: the next start makes it again, with all videos that are viral then"
        )


async def _last_writers(
    consumer: AIOKafkaConsumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> tuple[dict[TopicPartition, bytes], set[TopicPartition]]:
    """Read from ``starts`` to ``ends``.

    Returns:
        The app of the last record that bears one, by partition; partitions with any record.
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
