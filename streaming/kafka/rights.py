"""Checks at the start: the program's rights, and whether the brokers can do what it needs.

Topics: the brokers report the rights on each (KIP-430). Group: a heartbeat without a member needs
the same right as joining, and changes nothing. Transactions: a transactional id that no producer
uses is opened. This also finds brokers that refuse our time-out or cannot keep transactions.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    ConcurrentTransactions,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    InvalidTransactionTimeout,
    KafkaError,
    NotCoordinatorForGroupError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from streaming.errors import StartError
from streaming.kafka.metadata import Right, find_topics
from streaming.kafka.producer import TRANSACTION_TIMEOUT_MS
from streaming.kafka.topic_specs import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.protocol.api import Request

    from settings import Settings
    from streaming.kafka.metadata import TopicMetadata
    from streaming.kafka.topic_specs import TopicSpec

log = logging.getLogger(__name__)

#: Seconds without a coordinator for groups or transactions: until a warning, and until the start
#: fails. New brokers on a busy machine take half a minute.
QUIET_S, COORDINATOR_TIMEOUT_S = 40.0, 120.0

GROUP, TRANSACTION = 0, 1

_NEEDED: Final = {
    Role.INPUT: {Right.READ},
    Role.DEAD_LETTERS: {Right.WRITE},
    Role.INTERNAL: {Right.READ, Right.WRITE},
    Role.ORDER: {Right.WRITE},
    Role.VIRAL: {Right.READ, Right.WRITE},
    Role.CHANGELOG: {Right.READ, Right.WRITE},
}

_NOT_ALLOWED = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

#: Errors while a coordinator is elected or reads its log; it answers a moment later.
_PASSING = (
    ConcurrentTransactions,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)


def missing_rights(specs: Iterable[TopicSpec], found: Mapping[str, TopicMetadata]) -> list[str]:
    """Return the missing rights of a worker on topics, each as ``Read on topic x``."""
    return [
        f"{right.name.capitalize()} on topic {spec.name}"
        for spec in specs
        if (topic := found.get(spec.name)) is not None and topic.rights is not None
        for right in sorted(_NEEDED[spec.role] - topic.rights)
    ]


def _warn_of_growth(specs: Iterable[TopicSpec], found: Mapping[str, TopicMetadata]) -> None:
    """Warn of topics that will grow because an optional right is missing."""
    for spec in specs:
        topic = found.get(spec.name)
        if topic is None or topic.rights is None or not spec.purged:
            continue
        if Right.DELETE not in topic.rights:
            log.warning(
                "without the right Delete on topic %s, counted records stay in it and it grows "
                "(kafka-acls.sh --add; all rights: docs/security.md)",
                spec.name,
            )


def refuse_without(rights: Sequence[str]) -> None:
    """Refuse to continue if ``rights`` are missing.

    Raises:
        StartError: ``rights`` is not empty.
    """
    if rights:
        raise StartError(needed(rights))


def needed(rights: Sequence[str]) -> str:
    """Return one line about missing ``rights`` that names their documentation."""
    return (
        f"the program lacks rights at the brokers: it needs the right "
        f"{', '.join(rights)} (kafka-acls.sh --add; all rights: docs/security.md)"
    )


async def check_rights(
    admin: AIOKafkaAdminClient,
    specs: Sequence[TopicSpec],
    found: Mapping[str, TopicMetadata],
    settings: Settings,
) -> None:
    """Refuse to start if a right is missing or the brokers' settings conflict with ours.

    Raises:
        StartError: a right is missing, or a setting of the brokers conflicts with ours.
        KafkaError: the brokers do not answer.
    """
    missing = missing_rights(specs, found)
    brokers = await _broker_settings(admin)
    _check_session(brokers, settings)
    if not await _may_join(admin, settings.app_id, brokers):
        missing.append(f"Read on group {settings.app_id}")
    if not await _may_commit(admin, f"{settings.app_id}-start", brokers):
        missing.append(f"Write on transactional id {settings.app_id}-* (a prefix)")
    refuse_without(missing)
    _warn_of_growth(specs, found)


async def require_rights(
    admin: AIOKafkaAdminClient,
    topics: Mapping[str, AbstractSet[Right]],
    *,
    group: str | None = None,
    transactional_id: str | None = None,
) -> None:
    """Refuse to continue without these rights on each existing topic.

    Arguments:
        admin: a connected client.
        topics: the needed rights by topic.
        group: the group whose offsets will be committed.
        transactional_id: the producer's id; a final * makes it a prefix of several ids.

    Raises:
        StartError: a right is missing.
        KafkaError: the brokers do not answer.
    """
    answer = await find_topics(admin, topics)
    rights = {name: topic.rights for name, topic in answer.topics.items()}
    missing = [
        f"{right.name.capitalize()} on topic {name}"
        for name, wanted in topics.items()
        for right in sorted(wanted)
        if name in answer.forbidden or right not in (rights.get(name) or {right})
    ]
    if group is not None and not await _may_join(admin, group, {}):
        missing.append(f"Read on group {group}")
    if transactional_id is not None:
        opened = transactional_id.replace("*", "start")
        if not await _may_commit(admin, opened, {}):
            missing.append(f"Write on transactional id {transactional_id}")
    refuse_without(missing)


async def _broker_settings(admin: AIOKafkaAdminClient) -> dict[str, str]:
    """Return the settings of one broker; empty if the program may not read them."""
    node = admin._client.get_random_node()
    resource = ConfigResource(ConfigResourceType.BROKER, str(node))
    (response,) = await admin.describe_configs([resource])
    settings: dict[str, str] = {}
    for code, _, _, _, entries, *_ in response.resources:
        if code:
            log.debug("settings of broker %s are unknown: %s", node, for_code(code).__name__)
        settings |= {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    return settings


def _check_session(brokers: Mapping[str, str], settings: Settings) -> None:
    ours = round(settings.session_timeout * 1000)
    least = int(brokers.get("group.min.session.timeout.ms", ours))
    most = int(brokers.get("group.max.session.timeout.ms", ours))
    if not least <= ours <= most:
        raise StartError(
            f"BROKER_SESSION_TIMEOUT = {settings.session_timeout:g} s, but the brokers allow "
            f"{least / 1000:g} to {most / 1000:g} s: choose a value in that range, or change "
            "group.min.session.timeout.ms or group.max.session.timeout.ms on the brokers"
        )


async def _may_join(admin: AIOKafkaAdminClient, group: str, brokers: Mapping[str, str]) -> bool:
    """Whether the program may join ``group``."""
    advice = _too_few(admin, "offsets.topic.replication.factor", "min.insync.replicas", brokers)
    code = await _ask(
        admin, GROUP, group, HeartbeatRequest(group, 0, ""), f"of the group {group}: {advice}"
    )
    return for_code(code) not in _NOT_ALLOWED


async def _may_commit(
    admin: AIOKafkaAdminClient, transactional_id: str, brokers: Mapping[str, str]
) -> bool:
    """Whether the program may commit transactions."""
    kept = "transaction.state.log"
    advice = _too_few(admin, f"{kept}.replication.factor", f"{kept}.min.isr", brokers)
    code = await _ask(
        admin,
        TRANSACTION,
        transactional_id,
        InitProducerIdRequest(transactional_id, TRANSACTION_TIMEOUT_MS),
        f"of transactions: {advice}",
    )
    error = for_code(code)
    if error is InvalidTransactionTimeout:
        found = brokers.get("transaction.max.timeout.ms")
        shown = f"={found}" if found else ""
        raise StartError(
            f"the brokers' transaction.max.timeout.ms{shown} is shorter than the program's "
            f"transaction timeout: set it to {TRANSACTION_TIMEOUT_MS} or more on the brokers"
        )
    if code and error not in _NOT_ALLOWED:
        raise error(f"transactional id {transactional_id}")
    return error not in _NOT_ALLOWED


def _too_few(
    admin: AIOKafkaAdminClient, factor: str, in_sync: str, brokers: Mapping[str, str]
) -> str:
    """Return advice for brokers that are too few for their replication settings."""
    shown = ", ".join(
        f"{name}={brokers[name]}" if name in brokers else name for name in (factor, in_sync)
    )
    count = len(admin._client.cluster.brokers())
    return f"check {shown} of the brokers against their number, {count}"


async def _ask(
    admin: AIOKafkaAdminClient, kind: int, key: str, request: Request[Any], what: str
) -> int:
    """Return the error code in the answer of the coordinator of ``key``.

    Raises:
        StartError: no coordinator answers within :data:`COORDINATOR_TIMEOUT_S`.
    """
    begun, is_said = monotonic(), False
    while True:
        try:
            found = await admin._send_request(FindCoordinatorRequest(key, kind))
            code = found.error_code
            if not code:
                answer = await admin._send_request_to_node(found.coordinator_id, request)
                code = answer.error_code
            reason = for_code(code)
            if reason not in _PASSING:
                return int(code)
        except (KafkaError, TimeoutError) as exc:
            reason = type(exc)
        text = f"the brokers have no coordinator {what} ({reason.__name__})"
        if monotonic() - begun > COORDINATOR_TIMEOUT_S:
            raise StartError(text)
        if monotonic() - begun > QUIET_S and not is_said:
            is_said = True
            log.warning("%s; waiting for up to %.0f s", text, COORDINATOR_TIMEOUT_S)
        await asyncio.sleep(0.1)
