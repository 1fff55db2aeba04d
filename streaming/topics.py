"""The topics that the program needs: made with settings chosen on purpose, or checked."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from .access import check_access
from .errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from settings import Settings

log = logging.getLogger(__name__)

#: How often to ask for topics just made, ten times a second.
ATTEMPTS = 100

HOUR_MS = 3_600_000
MIB = 1 << 20


@dataclass(frozen=True)
class TopicSpec:
    """A topic as the program makes it when there is none."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    #: Whether another number of partitions than set is refused.
    fixed: bool = True


def _compacted(segment_bytes: int) -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        # The active segment is never compacted: small ones keep what recovery reads short.
        "segment.bytes": str(segment_bytes),
        "segment.ms": str(HOUR_MS),
        # As long as a standby or an old disk may be away and still learn of a deletion.
        "delete.retention.ms": str(24 * HOUR_MS),
    }


def topic_specs(settings: Settings, changelogs: Iterable[str]) -> list[TopicSpec]:
    """Return all topics of the program."""
    partitions = settings.partitions
    return [
        TopicSpec(
            settings.events_topic,
            partitions,
            # Above 1 MiB, so that what is too large arrives and is dead-lettered, not refused.
            {"retention.ms": str(48 * HOUR_MS), "max.message.bytes": str(4 * MIB)},
        ),
        TopicSpec(
            settings.dead_letter_topic,
            partitions,
            {"retention.ms": str(14 * 24 * HOUR_MS), "max.message.bytes": str(8 * MIB)},
            fixed=False,
        ),
        TopicSpec(
            settings.deltas_topic,
            partitions,
            # Read within seconds; kept for as long as a worker may be down.
            {
                "retention.ms": str(6 * HOUR_MS),
                "segment.bytes": str(64 * MIB),
                "max.message.bytes": str(8 * MIB),
            },
        ),
        TopicSpec(settings.viral_topic, partitions, _compacted(8 * MIB)),
        *(
            TopicSpec(name, partitions, {**_compacted(64 * MIB), "max.message.bytes": str(8 * MIB)})
            for name in changelogs
        ),
    ]


async def ensure_topics(
    client_settings: Mapping[str, Any], specs: Iterable[TopicSpec], replication_factor: int
) -> dict[str, int]:
    """Create the topics that are missing, and check those that are there.

    Returns:
        The number of partitions of each.

    Raises:
        StartError: the brokers do not let us in, or a topic exists with another number of
            partitions than set.
        NoBrokerError: no broker answers.
    """
    await check_access(client_settings)
    admin = AIOKafkaAdminClient(**client_settings)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        wanted = list(specs)
        missing = [spec for spec in wanted if spec.name not in existing]
        if missing:
            await _create(admin, missing, replication_factor)
        found = await _partitions(admin, [spec.name for spec in wanted])
    finally:
        await admin.close()
    for spec in wanted:
        partitions = found[spec.name]
        if spec.fixed and partitions != spec.partitions:
            raise StartError(
                f"topic {spec.name} has {partitions} partitions, TOPIC_PARTITIONS says "
                f"{spec.partitions}: set TOPIC_PARTITIONS={partitions}, or use other topics and "
                "another REELS_APP_ID (a table's partitions cannot be changed)"
            )
    return found


async def _partitions(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """Return the numbers of partitions; topics just made take a moment to be known everywhere."""
    for _ in range(ATTEMPTS):
        described = await admin.describe_topics(names)
        found = {topic["topic"]: len(topic["partitions"]) for topic in described}
        if all(found.get(name) for name in names):
            return found
        await asyncio.sleep(0.1)
    unknown = sorted(name for name in names if not found.get(name))
    raise StartError(f"the brokers do not know of the topics {', '.join(unknown)}")


async def _create(
    admin: AIOKafkaAdminClient, specs: list[TopicSpec], replication_factor: int
) -> None:
    response = await admin.create_topics(
        [
            NewTopic(
                name=spec.name,
                num_partitions=spec.partitions,
                replication_factor=replication_factor,
                topic_configs=dict(spec.config),
            )
            for spec in specs
        ]
    )
    for name, code, *reason in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise StartError(
                f"topic {name} cannot be created: {error.__name__} {' '.join(map(str, reason))}; "
                "check TOPIC_REPLICATION_FACTOR against the number of brokers"
            )
        if not code:
            log.info("created topic %s", name)
