"""Each topic setting that correctness depends on is judged by the purpose of the topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from settings import load
from streaming.kafka.metadata import TopicMetadata
from streaming.kafka.topic_settings import SettingVerdict, judge_topics
from streaming.kafka.topic_specs import topic_specs

if TYPE_CHECKING:
    from streaming.kafka.topic_settings import Finding


RIGHT, UNWISE, WRONG = SettingVerdict.RIGHT, SettingVerdict.UNWISE, SettingVerdict.WRONG
HOUR = 3_600_000

#: Kafka's defaults for a topic.
DEFAULTS = {
    "cleanup.policy": "delete",
    "retention.ms": str(7 * 24 * HOUR),
    "retention.bytes": "-1",
    "max.message.bytes": "1048588",
    "min.insync.replicas": "1",
    "message.timestamp.before.max.ms": "9223372036854775807",
    "message.timestamp.after.max.ms": "3600000",
    "delete.retention.ms": "86400000",
    "unclean.leader.election.enable": "false",
}
NAMES = {
    "input": "engagement-events",
    "dead letters": "engagement-events-dead-letter",
    "deltas": "reels-video-deltas",
    "viral": "viral-videos",
    "changelog": "reels-user_metrics-changelog",
}
COMPACTED = {"viral", "changelog"}


def judge(kind: str, *, replicas: int = 1, **changed: str) -> dict[str, Finding]:
    """Judge all settings of one topic with Kafka's defaults and the changes in ``changed``."""
    settings = load({})
    specs = topic_specs(settings, [NAMES["changelog"]])
    name = NAMES[kind]
    policy = {"cleanup.policy": "compact"} if kind in COMPACTED else {}
    config = DEFAULTS | policy | {key.replace("_", "."): text for key, text in changed.items()}
    found = {name: TopicMetadata(name, "an-id", 8, replicas, None)}
    return {each.setting: each for each in judge_topics(specs, found, {name: config}, settings)}


@pytest.mark.parametrize(
    ("kind", "policy", "verdict"),
    [
        ("input", "delete", RIGHT),
        ("input", "compact", WRONG),
        ("input", "compact,delete", WRONG),
        ("input", "", RIGHT),
        ("dead letters", "compact", WRONG),
        ("deltas", "delete,compact", WRONG),
        ("viral", "compact", RIGHT),
        ("viral", "delete", WRONG),
        ("viral", "compact,delete", UNWISE),
        ("changelog", "compact", RIGHT),
        ("changelog", "delete", WRONG),
        ("changelog", "compact,delete", WRONG),
        ("changelog", "", UNWISE),
    ],
)
def test_what_is_deleted_of_a_topic_suits_what_it_is_for(
    kind: str, policy: str, verdict: SettingVerdict
) -> None:
    finding = judge(kind, cleanup_policy=policy)["cleanup.policy"]
    assert finding.verdict is verdict
    if verdict is not RIGHT:
        assert finding.better == ("compact" if kind in COMPACTED else "delete")


@pytest.mark.parametrize(
    ("kind", "retention", "verdict"),
    [
        ("input", -1, RIGHT),
        ("input", 24 * HOUR, RIGHT),
        ("input", 23 * HOUR, UNWISE),
        ("dead letters", HOUR, UNWISE),
        ("deltas", -1, RIGHT),
        ("deltas", 6 * HOUR, UNWISE),
        ("deltas", 5000, WRONG),
    ],
)
def test_records_are_kept_until_a_worker_that_was_away_has_read_them(
    kind: str, retention: int, verdict: SettingVerdict
) -> None:
    assert judge(kind, retention_ms=str(retention))["retention.ms"].verdict is verdict


@pytest.mark.parametrize("kind", ["input", "dead letters", "deltas"])
def test_a_bound_by_size_is_warned_of(kind: str) -> None:
    finding = judge(kind, retention_bytes="1000000")["retention.bytes"]
    assert (finding.verdict, finding.better) == (UNWISE, "-1")


@pytest.mark.parametrize(
    ("kind", "size", "verdict"),
    [
        ("input", 1 << 20, RIGHT),
        ("input", 100_000, UNWISE),
        ("dead letters", 1 << 20, RIGHT),
        # Larger records are cut.
        ("dead letters", 20_000, RIGHT),
        ("dead letters", 5000, WRONG),
        ("deltas", 8 << 20, RIGHT),
        ("deltas", 1 << 20, UNWISE),
        ("deltas", 100_000, WRONG),
        ("viral", 1 << 20, RIGHT),
        ("changelog", 1 << 20, RIGHT),
        ("changelog", 500_000, WRONG),
    ],
)
def test_a_topic_takes_the_records_that_it_is_for(
    kind: str, size: int, verdict: SettingVerdict
) -> None:
    assert judge(kind, max_message_bytes=str(size))["max.message.bytes"].verdict is verdict


def test_dead_letters_that_are_smaller_than_what_the_input_takes_are_warned_of() -> None:
    settings = load({})
    specs = topic_specs(settings, [])
    names = [NAMES["input"], NAMES["dead letters"]]
    found = {name: TopicMetadata(name, "an-id", 8, 1, None) for name in names}
    sizes = {names[0]: "6000000", names[1]: "2000000"}
    configs = {name: DEFAULTS | {"max.message.bytes": sizes[name]} for name in names}
    findings = {
        each.topic: each
        for each in judge_topics(specs, found, configs, settings)
        if each.setting == "max.message.bytes"
    }
    assert findings[names[1]].verdict is UNWISE
    assert int(findings[names[1]].better) >= 6_000_000
    assert findings[names[0]].verdict is RIGHT


@pytest.mark.parametrize(
    ("kind", "replicas", "in_sync", "verdict"),
    [
        ("changelog", 1, 1, RIGHT),
        ("changelog", 1, 2, WRONG),
        ("deltas", 2, 3, WRONG),
        ("viral", 2, 1, RIGHT),
        ("dead letters", 3, 2, RIGHT),
        ("changelog", 3, 1, UNWISE),
        ("changelog", 3, 3, UNWISE),
        # Producers that do not wait for all replicas can still send.
        ("input", 1, 2, UNWISE),
    ],
)
def test_as_many_replicas_as_must_have_a_record_are_there(
    kind: str, replicas: int, in_sync: int, verdict: SettingVerdict
) -> None:
    found = judge(kind, replicas=replicas, min_insync_replicas=str(in_sync))
    finding = found["min.insync.replicas"]
    assert finding.verdict is verdict
    if verdict is not RIGHT:
        assert 1 <= int(finding.better) <= replicas


@pytest.mark.parametrize(
    "setting", ["message.timestamp.before.max.ms", "message.timestamp.after.max.ms"]
)
@pytest.mark.parametrize(
    ("limit", "verdict"), [(HOUR, RIGHT), (600_000, UNWISE), (30_000, WRONG), (0, WRONG)]
)
def test_records_of_now_are_within_the_limits_of_timestamps(
    setting: str, limit: int, verdict: SettingVerdict
) -> None:
    changed: dict[str, Any] = {setting: str(limit)}
    for kind in ("dead letters", "deltas", "viral", "changelog"):
        assert judge(kind, **changed)[setting].verdict is verdict
    assert setting not in judge("input", **changed)


def test_deletions_are_kept_while_a_data_directory_may_be_away() -> None:
    for kind in COMPACTED:
        assert judge(kind, delete_retention_ms="0")["delete.retention.ms"].verdict is UNWISE
    assert "delete.retention.ms" not in judge("input", delete_retention_ms="0")


def test_a_leader_that_lacks_records_is_warned_of_where_there_is_more_than_one_replica() -> None:
    setting = "unclean.leader.election.enable"
    assert judge("changelog", replicas=3, **{setting: "true"})[setting].verdict is UNWISE
    assert judge("changelog", replicas=1, **{setting: "true"})[setting].verdict is RIGHT


@pytest.mark.parametrize("kind", NAMES)
def test_a_topic_made_with_the_defaults_of_kafka_is_never_wrong_but_for_its_policy(
    kind: str,
) -> None:
    assert all(each.verdict is not WRONG for each in judge(kind).values())


def test_a_setting_that_the_brokers_do_not_know_is_not_judged() -> None:
    config = {"cleanup.policy": "delete", "max.message.bytes": "9000000"}
    name, settings = NAMES["input"], load({})
    found = {name: TopicMetadata(name, "an-id", 8, 1, None)}
    specs = topic_specs(settings, [])
    judged = {each.setting for each in judge_topics(specs, found, {name: config}, settings)}
    assert judged == {"cleanup.policy", "max.message.bytes"}


def test_the_command_that_mends_a_setting_names_the_login_where_one_is_needed() -> None:
    finding = judge("changelog", cleanup_policy="delete")["cleanup.policy"]
    plain = finding.advice(load({"BROKER_URL": "kafka://k1:9093;kafka://k2:9094"}))
    assert "\n" not in plain
    assert plain.endswith(
        "kafka-configs.sh --bootstrap-server k1:9093 --alter --entity-type topics "
        "--entity-name reels-user_metrics-changelog --add-config cleanup.policy=compact"
    )
    login = {"REELS_SASL_MECHANISM": "PLAIN", "REELS_SASL_USERNAME": "u"}
    secured = {"REELS_SECURITY_PROTOCOL": "SASL_SSL", "REELS_SASL_PASSWORD": "p", **login}
    assert "--command-config client.properties" in finding.command(load(secured))
