"""The input belongs to its senders: a program only reads it, and so may any number of others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from tests.integration import checks
from tests.integration.stream import START, event, send_stream, untidy_stream
from tests.oracle import HOUR, Rules
from tests.oracle_events import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster

PARTITIONS = 4


def contents(cluster: Cluster) -> Counter[tuple[int, bytes | None, bytes | None]]:
    return Counter((r.partition, r.key, r.value) for r in cluster.read(cluster.events))


def test_a_second_program_on_the_same_input_sees_what_was_sent_and_both_are_right(
    make_cluster: Callable[..., Cluster],
) -> None:
    """The second reads each misplaced event after the first has forgotten its id.

    ::

        START                          +3 h, beyond the horizon        START again
        |-- first: 300 misplaced events --|-- first: events in place --|-- second: all of them --|
    """
    first = make_cluster(TOPIC_PARTITIONS=PARTITIONS)
    first.create_topic(first.events)
    users = range(1, 101)
    with first.producer() as producer:
        for user in users:
            place = (partition_of(user, PARTITIONS) + 1) % PARTITIONS
            for number in range(3):
                value = event(user, user % 7, START + number, f"{user}-{number}")
                producer.produce(first.events, value, None, place)
    a = first.worker().start()
    first.wait_until_applied()
    with first.producer() as producer:
        for user in users:
            value = event(user, user % 7, START + 3 * HOUR, f"{user}-later")
            producer.produce(first.events, value, b"%d" % user, partition_of(user, PARTITIONS))
    first.wait_until_applied()
    sent = contents(first)
    assert sent.total() == 400

    second = make_cluster(TOPIC_PARTITIONS=PARTITIONS, REELS_EVENTS_TOPIC=first.events)
    second.events = first.events
    b = second.worker("b").start()
    for cluster in (second, first):
        cluster.wait_until_applied()
    assert contents(first) == sent
    for cluster, worker in ((first, a), (second, b)):
        oracle = checks.ask_oracle(cluster, Rules(PARTITIONS))
        assert oracle.outcomes == {"applied": 400, "rekeyed": 300}
        assert {oracle.user(user, oracle.as_of(user) or 0).views for user in users} == {4}
        checks.check_users_over_http(worker, oracle, users)
        checks.check_changelogs(cluster, oracle)
        audit = cluster.command("audit")
        assert audit.returncode == 0, audit.stdout + audit.stderr


def test_an_input_that_takes_no_record_is_counted_all_the_same(
    make_cluster: Callable[..., Cluster],
) -> None:
    """A worker that wrote to it would make no progress."""
    cluster = make_cluster(TOPIC_PARTITIONS=PARTITIONS)
    cluster.create_topic(cluster.events)
    send_stream(cluster, untidy_stream(3000, seed=25))
    resource = ConfigResource(
        ConfigResource.Type.TOPIC,
        cluster.events,
        incremental_configs=[
            ConfigEntry("max.message.bytes", "1", incremental_operation=AlterConfigOpType.SET)
        ],
    )
    cluster.admin.incremental_alter_configs([resource])[resource].result(30)
    before = contents(cluster)
    worker = cluster.worker().start()
    cluster.wait_until_applied()
    oracle = checks.ask_oracle(cluster, Rules(PARTITIONS))
    assert oracle.outcomes["rekeyed"] > 100
    checks.check_dead_letters(cluster, oracle)
    checks.check_changelogs(cluster, oracle)
    checks.check_users_over_http(worker, oracle, sorted(oracle.of_user))
    assert contents(cluster) == before
