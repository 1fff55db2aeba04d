"""Brokers' metadata of topics: ids, partitions, replicas, and the rights of this program.

Depends on the internals of aiokafka 0.14 (``AIOKafkaAdminClient._client``), like
:mod:`streaming.kafka.topic_ids`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import (
    LeaderNotAvailableError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from streaming.errors import StartError
from streaming.kafka.topic_ids import ask_for_topics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiokafka.admin import AIOKafkaAdminClient

#: The answer of brokers that do not report rights (KIP-430).
_NOT_TOLD: Final = -(1 << 31)


class Right(IntEnum):
    """Operations on a topic, by their bits in brokers' answers."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10


@dataclass(frozen=True, slots=True)
class TopicMetadata:
    """A topic as the brokers describe it."""

    name: str
    id: str
    partitions: int
    replicas: int
    """The fewest replicas of any partition."""
    rights: frozenset[Right] | None
    """This program's rights on it; None if the brokers do not report them."""


@dataclass(frozen=True, slots=True)
class TopicsMetadata:
    """The brokers' answer about topics."""

    topics: dict[str, TopicMetadata]
    forbidden: frozenset[str]
    """Topics that this program may not describe, so that it cannot know whether they exist."""


async def find_topics(admin: AIOKafkaAdminClient, names: Iterable[str]) -> TopicsMetadata:
    """Look up the topics ``names`` at one broker, without creating them.

    Raises:
        StartError: the brokers are older than Kafka 3.1.
        KafkaError: the broker does not answer, or reports an error for a topic.
    """
    try:
        response = await ask_for_topics(admin._client, names)
    except NotImplementedError as exc:
        raise StartError("the brokers are too old: upgrade them to Kafka 3.1 or later") from exc
    answer: dict[str, Any] = response.to_object()
    topics: dict[str, TopicMetadata] = {}
    forbidden: set[str] = set()
    for topic in answer["topics"]:
        error, name = for_code(topic["error_code"]), topic["name"]
        if error is TopicAuthorizationFailedError:
            forbidden.add(name)
        elif topic["partitions"]:
            topics[name] = _found(topic)
        elif error not in {UnknownTopicOrPartitionError, LeaderNotAvailableError}:
            raise error(f"topic {name}")
    return TopicsMetadata(topics, frozenset(forbidden))


def _found(topic: dict[str, Any]) -> TopicMetadata:
    return TopicMetadata(
        topic["name"],
        topic["topic_id"],
        len(topic["partitions"]),
        min(len(partition["replicas"]) for partition in topic["partitions"]),
        rights_of(topic["authorized_operations"]),
    )


def rights_of(bits: int) -> frozenset[Right] | None:
    """Return the rights encoded in ``bits``, None if the broker does not report them."""
    if bits == _NOT_TOLD:
        return None
    return frozenset(right for right in Right if bits & 1 << right)
