"""The new app's topics: their state, creation and deletion."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING

from aiokafka.admin import NewPartitions
from aiokafka.errors import KafkaError, for_code
from aiokafka.structs import TopicPartition
from faust.types import TP

from rescaling.errors import RescaleError
from streaming.kafka.metadata import find_topics
from streaming.kafka.topics import MAX_ATTEMPTS, create_topics
from streaming.restore.changelog_fetch import fetch_up_to
from streaming.restore.committed import last_layout
from tables.layout import StoreFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer
    from aiokafka.admin import AIOKafkaAdminClient

    from rescaling.sides import Sides
    from streaming.kafka.metadata import TopicMetadata


class Target(Enum):
    """State of the new app's tables."""

    MISSING = "not started"
    UNFINISHED = "an earlier run did not end: it starts over"
    WHOLE = "already moved"


async def look(admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, sides: Sides) -> Target:
    """Return the state of the new app's tables.

    Raises:
        RescaleError: another app has that id.
    """
    changelogs = [table.new_changelog for table in sides.tables]
    found = (await find_topics(admin, changelogs)).topics
    if not found:
        return Target.MISSING
    taken = RescaleError(
        f"the app {sides.new.app_id} exists, and its tables are not a copy of "
        f"{sides.old.app_id}'s: choose another id with --to-app-id"
    )
    layouts: list[bytes | None] = []
    for name, topic in found.items():
        for number in range(topic.partitions):
            stored = await last_layout(consumer, TP(name, number))
            if stored is not None and StoreFormat.origin_of(stored) != sides.old.app_id:
                raise taken
            if StoreFormat.is_unfinished(stored):
                return Target.UNFINISHED
            if stored is None and await _has_rows(consumer, TP(name, number)):
                raise taken
            layouts.append(stored)
    if not any(layouts):
        wrong = [each for each in found.values() if each.partitions != sides.new.partitions]
        return Target.UNFINISHED if wrong else Target.MISSING
    if len(layouts) != len(changelogs) * sides.new.partitions or not all(layouts):
        raise taken
    return Target.WHOLE


async def _has_rows(consumer: AIOKafkaConsumer, changelog: TP) -> bool:
    """Whether a changelog has a committed row: a run that was killed leaves an abort marker."""
    tp = TopicPartition(*changelog)
    consumer.assign([tp])
    await consumer.seek_to_beginning(tp)
    async for chunk in fetch_up_to(consumer, tp, (await consumer.end_offsets([tp]))[tp]):
        if chunk.records:
            return True
    return False


async def prepare(
    admin: AIOKafkaAdminClient, sides: Sides, target: Target
) -> dict[str, TopicMetadata]:
    """Create the new app's topics, after deleting those of an unfinished run; return them.

    Raises:
        StartError, RescaleError: the brokers refuse, or a topic has a wrong number of partitions.
    """
    specs = sides.new_specs()
    if target is Target.UNFINISHED:
        await delete(admin, [spec.name for spec in specs])
    found = (await find_topics(admin, [spec.name for spec in specs])).topics
    for spec in specs:
        topic = found.get(spec.name)
        if topic is not None and topic.partitions != spec.partitions:
            raise RescaleError(
                f"topic {spec.name} has {topic.partitions} partitions, not {spec.partitions}: "
                "delete it, or choose another app id with --to-app-id"
            )
    missing = [spec for spec in specs if spec.name not in found]
    await create_topics(admin, missing, sides.new.replication_factor)
    return await _known_as(
        admin,
        [spec.name for spec in specs],
        lambda found: all(
            s.name in found and found[s.name].partitions == s.partitions for s in specs
        ),
        "the brokers do not know the new topics yet: run the command again",
    )


async def delete(admin: AIOKafkaAdminClient, names: Sequence[str]) -> list[str]:
    """Delete those topics of ``names`` that exist, and return their names."""
    there = sorted((await find_topics(admin, names)).topics)
    if there:
        response = await admin.delete_topics(there)
        for name, code, *_ in response.topic_error_codes:
            if code:
                raise RescaleError(
                    f"topic {name} cannot be deleted ({for_code(code).__name__}): grant Delete on "
                    "it (docs/security.md), or delete it yourself"
                )
    late = f"the brokers have not deleted {', '.join(there)} yet: run the command again"
    await _known_as(admin, names, lambda found: not found, late)
    return there


async def add_partitions(admin: AIOKafkaAdminClient, topic: str, partitions: int) -> None:
    """Increase ``topic`` to that number of partitions.

    Raises:
        RescaleError: the brokers refuse.
    """
    try:
        await admin.create_partitions({topic: NewPartitions(partitions)})
    except KafkaError as exc:
        raise RescaleError(
            f"the tables are moved, but topic {topic} got no new partitions ({exc}): add "
            f"partitions until it has {partitions}"
        ) from exc
    late = f"the brokers do not know the new partitions of {topic} yet: run the command again"
    await _known_as(admin, [topic], lambda found: found[topic].partitions == partitions, late)


async def _known_as(
    admin: AIOKafkaAdminClient,
    names: Sequence[str],
    is_so: Callable[[Mapping[str, TopicMetadata]], bool],
    late: str,
) -> dict[str, TopicMetadata]:
    """Return the existing topics of ``names``, once the brokers' metadata fulfils ``is_so``.

    Raises:
        RescaleError: it does not in time; the text is ``late``.
    """
    for _ in range(MAX_ATTEMPTS):
        found = (await find_topics(admin, names)).topics
        if is_so(found):
            return found
        await asyncio.sleep(0.1)
    raise RescaleError(late)
