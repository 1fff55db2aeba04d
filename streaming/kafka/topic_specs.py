"""Topics of the program and their settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from settings import Settings

HOUR_MS = 3_600_000
MIB = 1 << 20

#: Settings that accept any timestamp, in place of the brokers' own limits.
ANY_TIMESTAMP = {
    "message.timestamp.before.max.ms": str((1 << 63) - 1),
    "message.timestamp.after.max.ms": str((1 << 63) - 1),
}

#: From this number of replicas on, two of them must have a record before it counts as written.
SAFE_REPLICAS = 3


class Role(Enum):
    """The purpose of a topic, which decides the settings that it must have."""

    INPUT = "input"
    DEAD_LETTERS = "dead letters"
    INTERNAL = "records on their way between tasks"
    ORDER = "the order in which events of two topics were counted"
    VIRAL = "viral videos"
    CHANGELOG = "changelog"


@dataclass(frozen=True)
class TopicSpec:
    """A topic as the program creates it if it is missing."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    #: Whether the topic must have exactly the configured number of partitions.
    fixed: bool = True
    role: Role = Role.INTERNAL
    #: Whether workers delete its records once they are counted.
    purged: bool = False


def _compacted(segment_bytes: int) -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        # The active segment is never compacted: small segments mean less to read in recovery.
        "segment.bytes": str(segment_bytes),
        "segment.ms": str(HOUR_MS),
        # The time that a standby or an old disk may be away without missing a deletion.
        "delete.retention.ms": str(24 * HOUR_MS),
    }


def changelog_topic(settings: Settings, table: str) -> str:
    """Return the name that Faust gives a table's changelog topic."""
    return f"{settings.app_id}-{table}-changelog"


def topic_specs(
    settings: Settings, changelogs: Iterable[str], deltas: Iterable[str] | None = None
) -> list[TopicSpec]:
    """Return all topics of the program.

    Arguments:
        settings: the names of the other topics.
        changelogs: the tables' changelog topics.
        deltas: the topics with deltas for tables; by default only that of the videos.
    """
    partitions = settings.partitions
    deltas = (settings.deltas_topic,) if deltas is None else deltas
    return [
        TopicSpec(
            settings.events_topic,
            partitions,
            # Above 1 MiB, so that events that are too large become dead letters.
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
                # Kept until counted, however old the records are and however long all workers are
                # stopped; streaming/commit/purge.py deletes them some time later.
                {
                    "retention.ms": "-1",
                    "segment.bytes": str(64 * MIB),
                    "max.message.bytes": str(8 * MIB),
                },
                purged=True,
            )
            for name in (*deltas, settings.repartition_topic)
        ),
        TopicSpec(
            settings.order_topic,
            partitions,
            # Only for the audit, which works with less.
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
