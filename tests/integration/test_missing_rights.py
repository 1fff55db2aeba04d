"""Missing rights, and brokers that cannot work with the program, are reported in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from embedded import EmbeddedKafka
from settings import load
from streaming.errors import StartError
from streaming.kafka import rights
from streaming.kafka.clients import client_settings
from streaming.kafka.rights import check_rights
from streaming.kafka.topic_settings import check_settings
from streaming.kafka.topics import admin_client, make_topics
from tests.authorized import authorized_broker, rights_of_a_worker
from tests.integration.stream import START, event
from tests.integration.test_bad_starts import refusal as last_line
from topology import all_topics, topology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.authorized import AuthorizedBroker
    from tests.cluster import Cluster


@pytest.fixture(scope="module")
def broker() -> Iterator[AuthorizedBroker]:
    """Run a broker in place of the one that all tests share."""
    with authorized_broker(transaction_max_timeout_ms="20000") as broker:
        yield broker


@pytest.fixture
def cluster(broker: AuthorizedBroker, make_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_cluster(TOPIC_PARTITIONS=1)
    cluster.environment |= broker.environment
    return cluster


def super_user(cluster: Cluster) -> dict[str, str]:
    """Return the settings for access without a login, which may do everything."""
    logins = {name: "" for name in cluster.environment if name.startswith("REELS_SASL_")}
    return {
        "BROKER_URL": f"kafka://{cluster.bootstrap}",
        "REELS_SECURITY_PROTOCOL": "PLAINTEXT",
        **logins,
    }


async def check(
    cluster: Cluster, *, as_super_user: bool = False, replication_factor: int = 1, **changed: str
) -> None:
    """Run the checks of a worker's start."""
    login = super_user(cluster) if as_super_user else {}
    settings = load(cluster.environment | login | changed)
    specs = all_topics(settings, topology(settings))
    async with admin_client(client_settings(settings)) as admin:
        found = await make_topics(admin, specs, replication_factor)
        await check_rights(admin, specs, found, settings)
        await check_settings(admin, specs, found, settings)


async def refusal(cluster: Cluster, **changed: Any) -> str:
    with pytest.raises(StartError) as refused:
        await check(cluster, **changed)
    text = str(refused.value)
    assert "\n" not in text
    return text


async def test_each_right_that_is_missing_is_named_and_with_all_of_them_a_worker_starts(
    cluster: Cluster, broker: AuthorizedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    await check(cluster, as_super_user=True)
    needed = rights_of_a_worker(cluster)
    broker.grant(*needed)
    await check(cluster)
    assert "DescribeConfigs" in caplog.text

    kinds = {"TOPIC": "topic", "GROUP": "group", "TRANSACTIONAL_ID": "transactional id"}
    for grant in needed:
        kind, name, operation = grant
        broker.revoke(grant)
        text = await refusal(cluster)
        broker.grant(grant)
        assert f"{kinds[kind]} {name}" in text or f"topics {name}" in text, text
        alone = name in {cluster.events, cluster.dead_letters, cluster.order}
        assert operation.capitalize() in text or (alone and "Describe on" in text)
        assert "docs/security.md" in text
    await check(cluster)


async def test_all_missing_rights_are_named_at_once(
    cluster: Cluster, broker: AuthorizedBroker
) -> None:
    await check(cluster, as_super_user=True)
    needed = rights_of_a_worker(cluster)
    names = sorted({name for kind, name, _ in needed if kind == "TOPIC"})
    broker.grant(*(("TOPIC", name, "DESCRIBE") for name in names))
    text = await refusal(cluster)
    for each in (
        f"Read on topic {cluster.events}",
        f"Write on topic {cluster.dead_letters}",
        f"Read on topic {cluster.deltas}",
        f"Write on topic {cluster.deltas}",
        f"Read on group {cluster.app_id}",
        f"Write on transactional id {cluster.app_id}-*",
    ):
        assert each in text


async def test_a_topic_that_may_not_be_created_is_no_matter_of_its_replicas(
    cluster: Cluster, broker: AuthorizedBroker
) -> None:
    names = {name for kind, name, _ in rights_of_a_worker(cluster) if kind == "TOPIC"}
    broker.grant(*(("TOPIC", name, "DESCRIBE") for name in names))
    text = await refusal(cluster)
    assert "cannot be created: the program may not create it" in text
    assert "grant it Create" in text
    assert "faust -A app topics" in text
    assert "REPLICATION_FACTOR" not in text


async def test_more_replicas_than_brokers_name_the_setting(cluster: Cluster) -> None:
    text = await refusal(cluster, as_super_user=True, replication_factor=2)
    assert "check TOPIC_REPLICATION_FACTOR against the number of brokers" in text


async def test_topics_that_may_not_be_seen_are_named(
    cluster: Cluster, broker: AuthorizedBroker
) -> None:
    text = await refusal(cluster)
    assert cluster.events in text
    assert cluster.user_changelog in text
    assert "Describe" in text


async def test_a_session_that_the_brokers_do_not_allow_names_what_they_do(cluster: Cluster) -> None:
    text = await refusal(cluster, as_super_user=True, BROKER_SESSION_TIMEOUT="5")
    assert "BROKER_SESSION_TIMEOUT = 5 s, but the brokers allow 6 to 1800 s" in text


@pytest.mark.parametrize("visible", [True, False])
async def test_transactions_that_may_not_take_as_long_as_ours_name_the_setting(
    cluster: Cluster, broker: AuthorizedBroker, monkeypatch: pytest.MonkeyPatch, visible: bool
) -> None:
    await check(cluster, as_super_user=True)
    broker.grant(*rights_of_a_worker(cluster))
    monkeypatch.setattr(rights, "TRANSACTION_TIMEOUT_MS", 20_001)
    text = await refusal(cluster, as_super_user=visible)
    name = "transaction.max.timeout.ms=20000" if visible else "transaction.max.timeout.ms is"
    assert name in text
    assert "20001 or more" in text


async def test_brokers_too_few_for_groups_or_transactions_name_the_setting(
    make_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "COORDINATOR_TIMEOUT_S", 1.0)
    topics = "offsets.topic", "transaction.state.log"
    three = {f"{name}.replication.factor": "3" for name in topics}
    with EmbeddedKafka(properties=three) as kafka:
        cluster = make_cluster(bootstrap=kafka.bootstrap, TOPIC_PARTITIONS=1)
        settings = load(cluster.environment)
        text = await refusal(cluster)
        assert f"no coordinator of the group {cluster.app_id}" in text
        assert "offsets.topic.replication.factor=3" in text
        async with admin_client(client_settings(settings)) as admin:
            with pytest.raises(StartError) as refused:
                await rights._may_commit(admin, "an-id", {"transaction.state.log.min.isr": "2"})
    assert "no coordinator of transactions" in str(refused.value)
    assert "transaction.state.log.min.isr=2 of the brokers against their number, 1" in str(
        refused.value
    )


def test_a_worker_without_rights_ends_with_one_line(
    cluster: Cluster, broker: AuthorizedBroker
) -> None:
    worker = cluster.worker().launch()
    assert worker.wait_exit() == 1
    assert "the program may not describe the topics " in last_line(worker)
    assert cluster.dead_letters in last_line(worker)


@pytest.mark.parametrize("right", ["READ", "WRITE"])
def test_a_running_worker_whose_right_is_taken_back_ends_with_its_name(
    cluster: Cluster, broker: AuthorizedBroker, right: str
) -> None:
    assert cluster.command("topics", **super_user(cluster)).returncode == 0
    broker.grant(*rights_of_a_worker(cluster), ("TOPIC", cluster.events, "WRITE"))
    worker = cluster.worker().start()
    with cluster.producer() as producer:
        producer.produce(cluster.events, event(5, 1, START, 1), b"5")
    cluster.wait_until_applied()
    broker.revoke(("TOPIC", cluster.deltas, right))
    assert worker.wait_exit() == 1
    assert f"it needs the right {right.title()} on topic {cluster.deltas}" in last_line(worker)
