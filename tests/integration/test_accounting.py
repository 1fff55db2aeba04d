"""Every record read is counted exactly once, by its outcome."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.integration import checks
from tests.integration.stream import send_stream, untidy_stream
from tests.oracle import Rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster
    from tests.oracle import Oracle


OUTCOMES = ("applied", "duplicate", "late", "rejected", "rekeyed")


@pytest.fixture(scope="module")
def run(make_shared_cluster: Callable[..., Cluster]) -> tuple[dict[str, float], Oracle]:
    cluster = make_shared_cluster()
    cluster.create_topic(cluster.events)
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(15_000, seed=5))
    cluster.wait_until_applied()
    return worker.metrics(), checks.ask_oracle(cluster, Rules(cluster.partitions))


def test_the_outcomes_add_up_to_the_records_read(run: tuple[dict[str, float], Oracle]) -> None:
    metrics, oracle = run
    outcomes = {name: metrics[f'reels_events_total{{outcome="{name}"}}'] for name in OUTCOMES}
    read = [
        metrics[f'reels_events_read_total{{partition="{number}"}}']
        for number in range(oracle.rules.partitions)
    ]
    assert sum(outcomes.values()) == sum(read)
    assert outcomes == {name: oracle.outcomes[name] for name in OUTCOMES}


def test_the_rejects_are_counted_by_reason_as_dead_lettered(
    run: tuple[dict[str, float], Oracle],
) -> None:
    metrics, oracle = run
    name = "reels_events_rejected_total"
    found = {
        line.split('"')[1]: count for line, count in metrics.items() if line.startswith(f"{name}{{")
    }
    expected = Counter(letter.reason for letter in oracle.dead_letters)
    assert {reason: count for reason, count in found.items() if count} == expected


def test_nothing_is_behind_when_all_is_applied(run: tuple[dict[str, float], Oracle]) -> None:
    metrics, oracle = run
    for number in range(oracle.rules.partitions):
        assert metrics[f'reels_recovery_records_remaining{{partition="{number}"}}'] == 0
    assert metrics['reels_transactions_total{outcome="fenced"}'] == 0
    assert metrics['reels_transactions_total{outcome="aborted"}'] == 0
    assert metrics['reels_transactions_total{outcome="committed"}'] > 0
