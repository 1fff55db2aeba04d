"""Lookup, creation and check of the program's topics.

:mod:`streaming.kafka.topic_specs` lists them, :mod:`streaming.kafka.topic_settings` checks their
settings, :mod:`streaming.kafka.rights` the rights on them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidConfigurationError,
    InvalidReplicationFactorError,
    PolicyViolationError,
    RequestTimedOutError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from streaming.errors import StartError
from streaming.kafka.broker_check import check_access
from streaming.kafka.metadata import TopicMetadata, find_topics
from streaming.kafka.topic_specs import ANY_TIMESTAMP, SAFE_REPLICAS, Role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from streaming.kafka.topic_specs import TopicSpec

log = logging.getLogger(__name__)

#: Number of lookups of created topics, ten per second, before giving up.
MAX_ATTEMPTS = 100


@asynccontextmanager
async def admin_client(client_settings: Mapping[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect an admin client.

    Raises:
        StartError: the brokers refuse access.
        NoBrokerError: no broker answers.
    """
    await check_access(client_settings)
    admin = AIOKafkaAdminClient(**client_settings)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def ensure_topics(
    client_settings: Mapping[str, Any], specs: Iterable[TopicSpec], replication_factor: int
) -> dict[str, TopicMetadata]:
    """Create missing topics, and check the partitions of existing ones.

    Returns:
        All topics as they are now, by name.

    Raises:
        StartError: the brokers refuse access, a topic has the wrong number of partitions, or one
            cannot be created.
        NoBrokerError: no broker answers.
    """
    async with admin_client(client_settings) as admin:
        return await make_topics(admin, list(specs), replication_factor)


async def make_topics(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], replication_factor: int
) -> dict[str, TopicMetadata]:
    """Do the work of :func:`ensure_topics` with a connected client."""
    found = await look_up(admin, specs)
    missing = [spec for spec in specs if spec.name not in found]
    if missing:
        await create_topics(admin, missing, replication_factor)
        found = await _known(admin, specs)
    return found


async def look_up(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]
) -> dict[str, TopicMetadata]:
    """Return the existing topics by name, and check their partitions.

    Raises:
        StartError: one has the wrong number of partitions, or may not be described.
    """
    answer = await find_topics(admin, [spec.name for spec in specs])
    if answer.forbidden:
        names = ", ".join(sorted(answer.forbidden))
        raise StartError(
            f"the program may not describe the topics {names}: grant it Read or Write as "
            "docs/security.md lists them, or Describe on topics that do not exist yet, and Create"
        )
    check_partitions(specs, answer.topics)
    return answer.topics


def check_partitions(specs: Sequence[TopicSpec], found: Mapping[str, TopicMetadata]) -> None:
    """Refuse topics whose number of partitions differs from the setting.

    Raises:
        StartError: a number differs; the text names a remedy that resolves all such refusals.
    """
    fixed = [spec for spec in specs if spec.fixed and spec.name in found]
    counts = {spec.name: found[spec.name].partitions for spec in fixed}
    wrong = {spec.name: counts[spec.name] for spec in fixed if counts[spec.name] != spec.partitions}
    if not wrong:
        return
    name, partitions = next(iter(wrong.items()))
    said = f"topic {name} has {_count(partitions)}, but TOPIC_PARTITIONS is {fixed[0].partitions}"
    if len(set(counts.values())) == 1:
        raise StartError(f"{said}: set TOPIC_PARTITIONS={partitions}")
    raise StartError(f"topic {partitions_advice(specs, found)}")


def partitions_advice(specs: Sequence[TopicSpec], found: Mapping[str, TopicMetadata]) -> str:
    """Return fault and remedy for topics with different numbers of partitions.

    Independent of TOPIC_PARTITIONS, because no value would suit all topics.
    """
    counts = {
        spec.name: found[spec.name].partitions
        for spec in specs
        if spec.fixed and spec.name in found
    }
    ((usual, _),) = Counter(counts.values()).most_common(1)
    odd = ", ".join(f"{name} has {_count(n)}" for name, n in counts.items() if n != usual)
    source = next((spec.name for spec in specs if spec.role is Role.INPUT), "the input")
    partitions = counts.get(source, usual)
    said = (
        f"{odd}, but the other topics of this app have {usual}" if odd else f"they have {usual} now"
    )
    others = {n for name, n in counts.items() if name != source}
    if others == {usual} and partitions < usual:
        return f"{said}: add partitions to {source} until it has {usual}"
    move = ""
    if others == {usual}:
        move = f"stop the workers and run `faust -A app rescale --partitions {partitions}`, or "
    return (
        f"{said}: Kafka cannot remove partitions; {move}start over with "
        f"TOPIC_PARTITIONS={partitions}, another REELS_APP_ID and another REELS_VIRAL_TOPIC, which "
        f"counts all events that {source} still holds again"
    )


def _count(partitions: int) -> str:
    return f"{partitions} partition{'s' * (partitions != 1)}"


async def _known(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]
) -> dict[str, TopicMetadata]:
    """Return all topics; brokers take a moment to know the created ones."""
    found: dict[str, TopicMetadata] = {}
    for _ in range(MAX_ATTEMPTS):
        found = await look_up(admin, specs)
        if len(found) == len(specs):
            return found
        await asyncio.sleep(0.1)
    unknown = sorted(spec.name for spec in specs if spec.name not in found)
    raise StartError(f"the brokers do not know the topics {', '.join(unknown)}")


async def create_topics(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], replication_factor: int
) -> None:
    """Create topics; those that another program creates meanwhile stay unchanged.

    Raises:
        StartError: the brokers refuse to create one.
    """
    if unlimited := await _create(admin, specs, replication_factor, ANY_TIMESTAMP):
        # Brokers before Kafka 3.6 do not know these limits.
        await _create(admin, unlimited, replication_factor, {})


async def _create(
    admin: AIOKafkaAdminClient,
    specs: Sequence[TopicSpec],
    replication_factor: int,
    limits: Mapping[str, str],
) -> list[TopicSpec]:
    """Create topics; return those not created because the brokers do not know ``limits``."""
    safe = {"min.insync.replicas": "2"} if replication_factor >= SAFE_REPLICAS else {}
    response = await admin.create_topics(
        [
            NewTopic(
                name=spec.name,
                num_partitions=spec.partitions,
                replication_factor=replication_factor,
                topic_configs={
                    **safe,
                    **(limits if spec.role is not Role.INPUT else {}),
                    **spec.config,
                },
            )
            for spec in specs
        ]
    )
    left = []
    for name, code, *reason in response.topic_errors:
        error = for_code(code)
        text = " ".join(str(each) for each in reason if each) or error.__name__
        if not code:
            log.info("created topic %s", name)
        elif error is InvalidConfigurationError and limits and "message.timestamp" in text:
            left.append(next(spec for spec in specs if spec.name == name))
        elif error is not TopicAlreadyExistsError:
            raise StartError(f"topic {name} cannot be created: {_refusal(error, text)}")
    return left


def _refusal(error: type[BaseException], text: str) -> str:
    """Return why a topic cannot be created, and the remedy."""
    if error in {TopicAuthorizationFailedError, ClusterAuthorizationFailedError}:
        return (
            "the program may not create it: grant it Create on this topic (docs/security.md), or "
            "run `faust -A app topics` with a login that has this right"
        )
    text = " ".join(text.split()).rstrip(".")
    if error is InvalidReplicationFactorError:
        return f"{text}: check TOPIC_REPLICATION_FACTOR against the number of brokers"
    if error is PolicyViolationError:
        return f"{text}: a policy of the cluster refuses it; create the topic beforehand"
    if error is RequestTimedOutError:
        return f"{text}: the controller did not answer in time; try again"
    return f"{text} ({error.__name__})"
