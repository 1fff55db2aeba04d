"""Check of the topic settings that correctness depends on.

The program refuses to start with a setting that makes counts wrong or stops it for good. An unwise
setting causes a warning.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAuthorizationFailedError, for_code

from models.windows import format_duration
from streaming.errors import StartError
from streaming.kafka.topic_specs import ANY_TIMESTAMP, HOUR_MS, MIB, SAFE_REPLICAS, Role, TopicSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from aiokafka.admin import AIOKafkaAdminClient

    from settings import Settings
    from streaming.kafka.metadata import TopicMetadata

log = logging.getLogger(__name__)

#: With a shorter retention, records may be deleted while a worker restarts.
MIN_RETENTION_MS: Final = 10 * 60_000

#: Unlimited retention.
NEVER_MS: Final = (1 << 63) - 1

#: Bytes of a dead letter without its value, which still has headers.
MIN_LETTER_BYTES: Final = 10_240

#: Minimum limits of timestamps: needed for clocks and retries, and recommended.
MIN_TIMESTAMP_LIMIT_MS, TIMESTAMP_LIMIT_MS = 60_000, HOUR_MS


class SettingVerdict(Enum):
    """The judgement of a setting."""

    RIGHT = "ok"
    UNWISE = "unwise"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """The judgement of one setting of one topic."""

    topic: str
    setting: str
    value: str
    verdict: SettingVerdict
    #: Why it is not right, and a better value.
    reason: str = ""
    better: str = ""

    def command(self, settings: Settings) -> str:
        """Return the shell command of Kafka's tools that corrects it."""
        secured = settings.security_protocol not in {None, "PLAINTEXT"}
        login = " --command-config client.properties" if secured else ""
        return (
            f"kafka-configs.sh --bootstrap-server {settings.bootstrap_servers[0]}{login} --alter "
            f"--entity-type topics --entity-name {self.topic} "
            f"--add-config {self.setting}={self.better}"
        )

    def advice(self, settings: Settings) -> str:
        """Return in one line what is wrong, and the command that corrects it."""
        return (
            f"topic {self.topic} has {self.setting}={self.value}: {self.reason}. To fix it: "
            f"{self.command(settings)}"
        )


class TopicConfigs:
    """The settings of topics at the brokers, including the brokers' defaults."""

    def __init__(self) -> None:
        """Start without settings."""
        self.values: dict[str, dict[str, str]] = {}
        #: Topics whose settings the program may not read.
        self.forbidden: list[str] = []

    @classmethod
    async def read(cls, admin: AIOKafkaAdminClient, names: Iterable[str]) -> TopicConfigs:
        """Read the settings of topics from the brokers.

        Raises:
            KafkaError: the brokers do not answer, or a topic does not exist.
        """
        configs = cls()
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        for response in await admin.describe_configs(resources):
            for code, _, _, name, entries, *_ in response.resources:
                if code == TopicAuthorizationFailedError.errno:
                    configs.forbidden.append(name)
                elif code:
                    raise for_code(code)(name)
                else:
                    configs.values[name] = {entry[0]: entry[1] or "" for entry in entries}
        return configs


@dataclass(frozen=True, slots=True)
class _Topic:
    """A topic to judge."""

    spec: TopicSpec
    replicas: int
    config: Mapping[str, str]
    settings: Settings
    #: Maximum bytes of a batch of the input, 0 if unknown.
    input_bytes: int

    def number(self, setting: str) -> int:
        return int(self.config[setting])

    @property
    def is_compacted(self) -> bool:
        return self.spec.role in {Role.VIRAL, Role.CHANGELOG}

    @property
    def is_written(self) -> bool:
        """Whether this program writes to it."""
        return self.spec.role is not Role.INPUT


#: A verdict, the reason, and a better value; None if the setting is irrelevant for this topic.
_Judgement: TypeAlias = tuple[SettingVerdict, str, str] | None

_RIGHT = (SettingVerdict.RIGHT, "", "")


def _cleanup_policy(topic: _Topic) -> _Judgement:
    found = {name for each in topic.config["cleanup.policy"].split(",") if (name := each.strip())}
    if not topic.is_compacted:
        reason = "compaction deletes records that have not been read yet"
        return (SettingVerdict.WRONG, reason, "delete") if "compact" in found else _RIGHT
    if found == {"compact"}:
        return _RIGHT
    if "delete" not in found:
        return (
            SettingVerdict.UNWISE,
            "old rows are never deleted, so each start takes longer",
            "compact",
        )
    if topic.spec.role is Role.CHANGELOG:
        return SettingVerdict.WRONG, "retention deletes rows that a restore needs", "compact"
    reason = "retention deletes the flags of videos that are still viral"
    return SettingVerdict.UNWISE if "compact" in found else SettingVerdict.WRONG, reason, "compact"


def _retention_ms(topic: _Topic) -> _Judgement:
    if topic.is_compacted:
        return None
    found, role = topic.number("retention.ms"), topic.spec.role
    better = int(topic.spec.config.get("retention.ms", 48 * HOUR_MS))
    if role is Role.INPUT:
        least = topic.settings.user_window
        better = max(better, 2 * least)
        reason = (
            f"events are deleted before they are as old as the users' window of "
            f"{format_duration(least)}: events that a stopped worker has not read, and events that "
            "an audit needs, are lost"
        )
    elif role is Role.DEAD_LETTERS:
        least, reason = 24 * HOUR_MS, "rejected events are deleted within a day"
    elif role is Role.ORDER:
        least = better
        reason = "an audit lacks the order in which older events were counted"
    else:
        least = better if better >= 0 else NEVER_MS
        reason = "unread records are deleted after that time, and counts lack them"
    if found < 0 or found >= least:
        return _RIGHT
    wrong = role is Role.INTERNAL and found < MIN_RETENTION_MS
    return SettingVerdict.WRONG if wrong else SettingVerdict.UNWISE, reason, str(better)


def _retention_bytes(topic: _Topic) -> _Judgement:
    if topic.is_compacted:
        return None
    if topic.number("retention.bytes") < 0:
        return _RIGHT
    return SettingVerdict.UNWISE, "records are deleted by size, even if they are unread", "-1"


def _max_message_bytes(topic: _Topic) -> _Judgement:
    found, role = topic.number("max.message.bytes"), topic.spec.role
    own = int(topic.spec.config.get("max.message.bytes", MIB))
    least = {Role.INPUT: 0, Role.DEAD_LETTERS: MIN_LETTER_BYTES}.get(role, MIB)
    if found < least:
        return SettingVerdict.WRONG, "it refuses records that the program must write", str(own)
    if role is Role.INPUT and found < MIB:
        return SettingVerdict.UNWISE, "it refuses events that the program would accept", str(own)
    if role is Role.DEAD_LETTERS and found < topic.input_bytes:
        reason = f"rejected events are cut: the input accepts {topic.input_bytes}"
        return SettingVerdict.UNWISE, reason, str(max(own, topic.input_bytes))
    if role is Role.INTERNAL and found < own:
        return SettingVerdict.UNWISE, "a worker with a large lag writes larger records", str(own)
    return _RIGHT


def _min_insync_replicas(topic: _Topic) -> _Judgement:
    found, replicas = topic.number("min.insync.replicas"), topic.replicas
    better = str(2 if replicas >= SAFE_REPLICAS else 1)
    if found > replicas:
        reason = f"it has {replicas} replica{'s' * (replicas != 1)}, so nobody can write to it"
        return SettingVerdict.WRONG if topic.is_written else SettingVerdict.UNWISE, reason, better
    if found == replicas > 1:
        reason = f"with {replicas} replicas, the loss of one broker stops all writes"
        return SettingVerdict.UNWISE, reason, better
    if replicas >= SAFE_REPLICAS and found < int(better):
        return (
            SettingVerdict.UNWISE,
            "the loss of one broker may lose written records",
            better,
        )
    return _RIGHT


def _timestamp_limit(setting: str) -> Callable[[_Topic], _Judgement]:
    def judge(topic: _Topic) -> _Judgement:
        if not topic.is_written or setting not in topic.config:
            return None
        found, better = topic.number(setting), ANY_TIMESTAMP[setting]
        if found >= TIMESTAMP_LIMIT_MS:
            return _RIGHT
        wrong = found < MIN_TIMESTAMP_LIMIT_MS
        reason = "records are refused if a commit takes long or clocks differ"
        return SettingVerdict.WRONG if wrong else SettingVerdict.UNWISE, reason, better

    return judge


def _delete_retention_ms(topic: _Topic) -> _Judgement:
    if not topic.is_compacted:
        return None
    better = topic.spec.config["delete.retention.ms"]
    if topic.number("delete.retention.ms") >= int(better):
        return _RIGHT
    reason = "a data directory that is unused for longer keeps rows that were deleted meanwhile"
    return SettingVerdict.UNWISE, reason, better


def _unclean_election(topic: _Topic) -> _Judgement:
    if topic.config["unclean.leader.election.enable"] != "true" or topic.replicas == 1:
        return _RIGHT
    return (
        SettingVerdict.UNWISE,
        "a replica that lacks written records may become the leader",
        "false",
    )


_RULES: Final[Mapping[str, Callable[[_Topic], _Judgement]]] = {
    "cleanup.policy": _cleanup_policy,
    "retention.ms": _retention_ms,
    "retention.bytes": _retention_bytes,
    "max.message.bytes": _max_message_bytes,
    "min.insync.replicas": _min_insync_replicas,
    **{setting: _timestamp_limit(setting) for setting in ANY_TIMESTAMP},
    "delete.retention.ms": _delete_retention_ms,
    "unclean.leader.election.enable": _unclean_election,
}


def judge_topics(
    specs: Sequence[TopicSpec],
    found: Mapping[str, TopicMetadata],
    configs: Mapping[str, Mapping[str, str]],
    settings: Settings,
) -> Iterator[Finding]:
    """Judge the settings of all existing topics whose ``configs`` are known."""
    sizes = [configs[s.name] for s in specs if s.role is Role.INPUT and s.name in configs]
    input_bytes = max((int(config["max.message.bytes"]) for config in sizes), default=0)
    for spec in specs:
        if spec.name not in found or spec.name not in configs:
            continue
        topic = _Topic(spec, found[spec.name].replicas, configs[spec.name], settings, input_bytes)
        for setting, judge in _RULES.items():
            # Some brokers that speak Kafka's protocol lack some settings.
            known = setting in topic.config
            if known and (judgement := judge(topic)) is not None:
                yield Finding(spec.name, setting, topic.config[setting], *judgement)


async def check_settings(
    admin: AIOKafkaAdminClient,
    specs: Sequence[TopicSpec],
    found: Mapping[str, TopicMetadata],
    settings: Settings,
) -> None:
    """Warn of unwise settings.

    Raises:
        StartError: a setting is wrong.
        KafkaError: the brokers do not answer.
    """
    configs = await TopicConfigs.read(admin, found)
    if configs.forbidden:
        log.warning(
            "settings of topics are not checked: the program may not read those of %s (grant the "
            "right DescribeConfigs: docs/security.md)",
            ", ".join(sorted(configs.forbidden)),
        )
    wrong = []
    for finding in judge_topics(specs, found, configs.values, settings):
        if finding.verdict is SettingVerdict.WRONG:
            wrong.append(finding)
        elif finding.verdict is SettingVerdict.UNWISE:
            log.warning("%s", finding.advice(settings))
    if wrong:
        others = len(wrong) - 1
        more = f" ({others} more: faust -A app topics --check)" if others else ""
        raise StartError(f"{wrong[0].advice(settings)}{more}")
