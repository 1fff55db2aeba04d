"""Limits of topics for the records sent to them, as the brokers describe them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from streaming.errors import Refusal

log = logging.getLogger(__name__)

#: Maximum bytes of a batch for any topic: the limit of topics that the program creates.
MAX_BATCH_BYTES = 8 << 20

#: The brokers' default limit in bytes. If a topic refuses a batch that its settings allow, its
#: limit is assumed to be this, or half of the refused size if that is less.
DEFAULT_BATCH_BYTES = 1 << 20

#: Kafka's value for an unlimited time.
_NEVER_MS = (1 << 63) - 1

#: The settings that define limits; brokers before 3.6 have one time limit for both directions.
_BEFORE, _AFTER = "message.timestamp.before.max.ms", "message.timestamp.after.max.ms"
_DIFFERENCE = "message.timestamp.difference.max.ms"
_SIZES = "max.message.bytes", "segment.bytes"
_NAMES = *_SIZES, "cleanup.policy", "message.timestamp.type", _BEFORE, _AFTER, _DIFFERENCE


class TopicLimits(NamedTuple):
    """A topic's limits: bytes of a batch, and distance of a timestamp from now in ms."""

    batch_bytes: int = MAX_BATCH_BYTES
    before_ms: int = _NEVER_MS
    after_ms: int = _NEVER_MS
    needs_keys: bool = False
    """Whether it is compacted, and so refuses records without a key."""


_UNKNOWN = TopicLimits()


class Limits:
    """The limits of the topics that a worker sends to."""

    def __init__(
        self, client_settings: Mapping[str, Any] | None = None, topics: Iterable[str] = ()
    ) -> None:
        """Know no limits of ``topics`` yet; aiokafka's ``client_settings`` name the brokers."""
        self._client_settings = client_settings
        self._topics = sorted(topics)
        self._described: dict[str, TopicLimits] = {}
        #: Assumed limits of topics that refused a record within the described limits.
        self._learnt: dict[str, TopicLimits] = {}

    def of(self, topic: str) -> TopicLimits:
        """Return the limits of ``topic`` as far as they are known."""
        return self._learnt.get(topic) or self._described.get(topic, _UNKNOWN)

    async def refresh(self) -> None:
        """Request the limits from the brokers; without an answer, known limits stay."""
        if self._client_settings is None:
            return
        try:
            found = await _describe(self._client_settings, self._topics)
        except (KafkaError, OSError) as exc:
            log.warning("the limits of topics could not be refreshed: %r", exc)
            return
        if unknown := [topic for topic in self._topics if topic not in found]:
            log.warning(
                "the brokers do not describe the topics %s: their limits are unknown until they "
                "refuse a record (grant the right DescribeConfigs)",
                ", ".join(unknown),
            )
        for topic, limits in found.items():
            former = self._described.get(topic)
            if former != limits:
                self._described[topic] = limits
                self._learnt.pop(topic, None)
            if former not in (limits, None):
                _announce(topic, limits)

    async def learn(self, refused: Refusal) -> None:
        """Find out why a topic refused a record, so that the next attempt fits.

        Raises:
            ConfigurationError: it refuses every such record until an operator changes a setting.
        """
        before = self.of(refused.topic)
        await self.refresh()
        limits = self.of(refused.topic)
        if refused.has_no_key and limits.needs_keys:
            raise ConfigurationError(
                f"topic {refused.topic} is compacted and refuses {refused.record}, which has no "
                "key: set the topic's cleanup.policy to delete"
            )
        if limits != before:
            return
        # The described limits do not explain the refusal, so try smaller ones.
        if refused.is_for_time:
            limits = limits._replace(before_ms=0, after_ms=0)
        elif refused.is_for_size and refused.size <= limits.batch_bytes:
            allowed = min(limits.batch_bytes, refused.batch_size) // 2
            limits = limits._replace(batch_bytes=min(DEFAULT_BATCH_BYTES, allowed))
        if limits != before:
            self._learnt[refused.topic] = limits
            _announce(refused.topic, limits)


def _announce(topic: str, limits: TopicLimits) -> None:
    sides = {"before": limits.before_ms, "after": limits.after_ms}
    bounded = [f"{ms:,} ms {side} now" for side, ms in sides.items() if ms < _NEVER_MS]
    log.warning(
        "records for topic %s now fit its limits: batches of %s bytes%s",
        *(topic, f"{limits.batch_bytes:,}"),
        f", times up to {' and '.join(bounded)}" if bounded else "",
    )


async def _describe(
    client_settings: Mapping[str, Any], topics: Sequence[str]
) -> dict[str, TopicLimits]:
    admin = AIOKafkaAdminClient(**client_settings)
    try:
        await admin.start()
        answers = await admin.describe_configs(
            [
                ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(_NAMES, ""))
                for topic in topics
            ]
        )
    finally:
        await admin.close()
    return dict(_limits(answers))


def _limits(answers: Iterable[Any]) -> Iterator[tuple[str, TopicLimits]]:
    for answer in answers:
        for code, _, _, topic, entries in answer.resources:
            if not code:
                yield topic, _limits_of({name: value for name, value, *_ in entries})


def _limits_of(config: Mapping[str, str | None]) -> TopicLimits:
    def number(name: str, default: int) -> int:
        text = config.get(name)
        return default if text is None else int(text)

    either = number(_DIFFERENCE, _NEVER_MS)
    before_ms, after_ms = number(_BEFORE, either), number(_AFTER, either)
    if config.get("message.timestamp.type") == "LogAppendTime":
        before_ms = after_ms = _NEVER_MS
    return TopicLimits(
        # A batch must also fit into a segment.
        min(MAX_BATCH_BYTES, *(number(name, MAX_BATCH_BYTES) for name in _SIZES)),
        before_ms,
        after_ms,
        "compact" in (config.get("cleanup.policy") or ""),
    )
