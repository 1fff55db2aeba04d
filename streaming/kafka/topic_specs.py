"""The topics that the program needs, with settings chosen on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from settings import Settings

HOUR_MS = 3_600_000
MIB = 1 << 20

#: Records keep whatever time they have: a broker's own limits do not reach these topics.
ANY_TIMESTAMP = {
    "message.timestamp.before.max.ms": str((1 << 63) - 1),
    "message.timestamp.after.max.ms": str((1 << 63) - 1),
}

#: From so many replicas on, two of them have to have a record before it counts as written.
SAFE_REPLICAS = 3


class Role(Enum):
    """What a topic is for, and so which settings it must have."""

    INPUT = "input"
    DEAD_LETTERS = "dead letters"
    INTERNAL = "records on their way between tasks"
    ORDER = "the order in which events of two topics were counted"
    VIRAL = "viral videos"
    CHANGELOG = "changelog"


@dataclass(frozen=True)
class TopicSpec:
    """A topic as the program makes it when there is none."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    #: Whether another number of partitions than set is refused.
    fixed: bool = True
    role: Role = Role.INTERNAL
    #: Whether workers delete records of it once they are counted.
    purged: bool = False


def _compacted(segment_bytes: int) -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        # The active segment is never compacted: small ones keep what recovery reads short.
        "segment.bytes": str(segment_bytes),
        "segment.ms": str(HOUR_MS),
        # As long as a standby or an old disk may be away and still learn of a deletion.
        "delete.retention.ms": str(24 * HOUR_MS),
    }


def changelog_topic(settings: Settings, table: str) -> str:
    """Return the name of a table's changelog topic, as Faust makes it."""
    return f"{settings.app_id}-{table}-changelog"


def topic_specs(
    settings: Settings, changelogs: Iterable[str], deltas: Iterable[str] | None = None
) -> list[TopicSpec]:
    """Return all topics of the program.

    Arguments:
        settings: names the others.
        changelogs: the tables' changelog topics.
        deltas: the topics with sums on their way to tables; by default the videos' alone.
    """
    partitions = settings.partitions
    deltas = (settings.deltas_topic,) if deltas is None else deltas
    return [
        TopicSpec(
            settings.events_topic,
            partitions,
            # Above 1 MiB, so that what is too large arrives and is dead-lettered, not refused.
            {"retention.ms": str(48 * HOUR_MS), "max.message.bytes": str(4 * MIB)},
            role=Role.INPUT,
        ),
        TopicSpec(
            settings.dead_letter_topic,
            partitions,
            {"retention.ms": str(14 * 24 * HOUR_MS), "max.message.bytes": str(8 * MIB)},
            fixed=False,
            role=Role.DEAD_LETTERS,
        ),
        *(
            TopicSpec(
                name,
                partitions,
                # Read within seconds; kept for as long as a worker may be down.
                {
                    "retention.ms": str(6 * HOUR_MS),
                    "segment.bytes": str(64 * MIB),
                    "max.message.bytes": str(8 * MIB),
                },
            )
            for name in deltas
        ),
        TopicSpec(
            settings.repartition_topic,
            partitions,
            # Kept until it is counted, however old the events are by their timestamps, and for as
            # long as streaming/commit/purge.py says after that.
            {
                "retention.ms": "-1",
                "segment.bytes": str(64 * MIB),
                "max.message.bytes": str(8 * MIB),
            },
            purged=True,
        ),
        TopicSpec(
            settings.order_topic,
            partitions,
            # For the audit alone, which does with less.
            {"retention.ms": str(24 * HOUR_MS), "segment.bytes": str(64 * MIB)},
            role=Role.ORDER,
        ),
        TopicSpec(
            settings.viral_topic,
            partitions,
            {**_compacted(8 * MIB), "max.message.bytes": str(8 * MIB)},
            role=Role.VIRAL,
        ),
        *(
            TopicSpec(
                name,
                partitions,
                {**_compacted(64 * MIB), "max.message.bytes": str(8 * MIB)},
                role=Role.CHANGELOG,
            )
            for name in changelogs
        ),
    ]
