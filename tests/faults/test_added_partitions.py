"""Partitions added to a topic while workers run: reported immediately, and nothing closes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import NewPartitions

from tests.faults.aftermath import rules_of
from tests.integration import checks
from tests.integration.stream import START, event, send_stream, untidy_stream
from tests.integration.test_bad_starts import refusal
from tests.oracle_events import partition_of
from tests.worker import wait_until

if TYPE_CHECKING:
    from tests.cluster import Cluster
    from tests.worker import Worker


pytestmark = pytest.mark.faults


def add_partitions(cluster: Cluster, topic: str, count: int) -> None:
    cluster.admin.create_partitions([NewPartitions(topic, count)])[topic].result(30)


def is_unready(worker: Worker) -> bool:
    return worker.status("/readyz") == 503


def said(worker: Worker) -> list[str]:
    return [line for line in worker.output().splitlines() if "partitions were added" in line]


@pytest.mark.parametrize("topic", ["events", pytest.param("deltas", marks=pytest.mark.slow)])
def test_added_partitions_are_told_within_seconds_while_the_old_ones_go_on(
    cluster: Cluster, topic: str
) -> None:
    name, old = getattr(cluster, topic), cluster.partitions
    workers = [cluster.worker("a").start(), cluster.worker("b").start()]
    send_stream(cluster, untidy_stream(1500, seed=64))
    cluster.wait_until_applied()
    add_partitions(cluster, name, old + 2)
    for worker in workers:
        wait_until(partial(is_unready, worker), "it is not ready")
        assert worker.status("/healthz") == 200
        (line,) = said(worker)
        assert name in line
        assert f"TOPIC_PARTITIONS={old + 2 if topic == 'events' else old}" in line

    # A new assignment contains the partitions that were assigned before, and no others.
    assert workers.pop().terminate() == 0
    with cluster.producer() as producer:
        for user in range(1, 200):
            value = event(user, 1, START, f"later-{user}")
            producer.produce(cluster.events, value, b"%d" % user, partition_of(user, old))

    def is_applied() -> bool:
        committed = cluster.committed(cluster.events)
        ends = {each.partition: each.offset + 1 for each in cluster.read(cluster.events)}
        return all(committed[number] >= end for number, end in ends.items())

    wait_until(is_applied, "the old partitions go on")
    (worker,) = workers
    assert len(said(worker)) == 1
    oracle = checks.ask_oracle(cluster, rules_of(cluster))
    checks.check_users_over_http(worker, oracle, sorted(oracle.of_user))


def test_a_restart_after_partitions_were_added_says_the_same_whatever_is_set(
    cluster: Cluster,
) -> None:
    assert cluster.command("topics").returncode == 0
    old, new = cluster.partitions, cluster.partitions + 2
    add_partitions(cluster, cluster.events, new)
    worker = cluster.worker().launch()
    assert worker.wait_exit() == 1
    line = refusal(worker)
    assert f"TOPIC_PARTITIONS={new}, another REELS_APP_ID and another REELS_VIRAL_TOPIC" in line
    assert f"TOPIC_PARTITIONS={old}" not in line
    again = cluster.command("topics", TOPIC_PARTITIONS=str(new))
    assert again.returncode == 1
    assert again.stderr.removeprefix("error: ").strip() in line


def test_what_is_advised_after_partitions_were_added_works(cluster: Cluster) -> None:
    assert cluster.command("topics").returncode == 0
    add_partitions(cluster, cluster.events, cluster.partitions + 2)
    done = cluster.command(
        "topics",
        TOPIC_PARTITIONS=str(cluster.partitions + 2),
        REELS_APP_ID=f"{cluster.app_id}-anew",
        REELS_VIRAL_TOPIC=f"{cluster.viral}-anew",
    )
    assert done.returncode == 0, done.stderr
