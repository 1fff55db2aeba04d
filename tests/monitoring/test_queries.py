"""A worker under load exposes all that the dashboard and the alerts query."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.schema import OUTCOMES
from tests.integration.stream import send_stream, untidy_stream
from tests.monitoring.queries import (
    ADDED_LABELS,
    DASHBOARD,
    OWN_SERIES,
    ROOT,
    TYPES,
    dashboard_queries,
    rules,
    selected,
)
from tests.worker import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from prometheus_client.metrics_core import Metric

    from tests.cluster import Cluster
    from tests.worker import Worker


@pytest.fixture(scope="module")
def cluster(make_shared_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_shared_cluster()
    cluster.create_topic(cluster.events)
    return cluster


@pytest.fixture(scope="module")
def worker(cluster: Cluster) -> Worker:
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(6000, seed=8))
    cluster.wait_until_applied()
    worker.text("/healthz")
    # The lag is measured once per second.
    wait_until(lambda: 'reels_consumer_lag_records{partition="0"}' in worker.metrics(), "lag")
    return worker


@pytest.fixture(scope="module")
def families(worker: Worker) -> dict[str, Metric]:
    return {f.name: f for f in text_string_to_metric_families(worker.text("/metrics"))}


@pytest.fixture(scope="module")
def labels(families: dict[str, Metric]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for family in families.values():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def check(query: str, labels: dict[str, set[str]]) -> None:
    names = list(selected(query))
    assert names, f"{query} asks for nothing"
    for name, asked in names:
        if name not in OWN_SERIES:
            assert name in labels, f"no worker tells {name}"
            assert asked - ADDED_LABELS <= labels[name], f"{name} has not all of {asked}"


def test_every_query_of_the_dashboard_finds_its_series(labels: dict[str, set[str]]) -> None:
    queries = dashboard_queries()
    assert len(queries) > 30
    for query in queries:
        check(query, labels)


#: Metrics of the process; those of its memory, CPU and open files have panels.
WITHOUT_PANEL = {"process_virtual_memory_bytes", "process_start_time_seconds", "process_max_fds"}


def test_every_metric_is_shown_somewhere_on_the_dashboard(families: dict[str, Metric]) -> None:
    shown = {name for query in dashboard_queries() for name, _ in selected(query)}
    missing = {
        family.name
        for family in families.values()
        if family.name not in WITHOUT_PANEL
        and not {
            family.name,
            f"{family.name}_total",
            *(sample.name for sample in family.samples),
        }
        & shown
    }
    assert missing == set()


def test_every_alert_finds_its_series(labels: dict[str, set[str]]) -> None:
    for rule in rules():
        check(rule["expr"], labels)


def test_a_query_for_what_is_not_there_is_noticed(labels: dict[str, set[str]]) -> None:
    with pytest.raises(AssertionError, match="no worker tells"):
        check("rate(reels_nothing_total[1m])", labels)
    with pytest.raises(AssertionError, match="has not all of"):
        check("sum by (user_id) (reels_events_total)", labels)


def test_names_and_types_are_those_that_are_promised(families: dict[str, Metric]) -> None:
    assert {name: families[name].type for name in TYPES} == TYPES


def test_nothing_tells_of_a_single_user_or_video(labels: dict[str, set[str]]) -> None:
    assert not {"user", "user_id", "video", "video_id"} & set().union(*labels.values())


def test_operations_tells_of_each_metric_and_of_no_other(families: dict[str, Metric]) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    named = set(re.findall(r"`((?:reels|process)_\w*)(?:`|…)", page))
    told = {f"{f.name}_total" if f.type == "counter" else f.name for f in families.values()}
    assert {name for name in told if not any(map(name.startswith, named))} == set()
    assert {name for name in named if not any(each.startswith(name) for each in told)} == set()


def test_what_was_read_is_what_became_of_it(worker: Worker) -> None:
    metrics = worker.metrics()
    read = sum(v for name, v in metrics.items() if name.startswith("reels_events_read_total{"))
    assert (
        read == sum(metrics[f'reels_events_total{{outcome="{name}"}}'] for name in OUTCOMES) > 6000
    )


def test_the_dashboard_has_an_address_that_lasts_and_asks_any_prometheus() -> None:
    board = json.loads(DASHBOARD.read_text())
    assert board["uid"] == "reels-analytics"
    assert [v["name"] for v in board["templating"]["list"]] == ["datasource"]
    rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
    assert rows == ["Traffic", "Latency", "Lag", "State", "Faults", "Machine"]
    for panel in board["panels"]:
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"


def test_seconds_of_load_leave_no_more_than_a_handful_of_lines(
    cluster: Cluster, worker: Worker
) -> None:
    before = len(worker.output().splitlines())
    send_stream(cluster, untidy_stream(2000, seed=9))
    cluster.wait_until_applied()
    time.sleep(2)  # twenty commit intervals of each partition
    lines = worker.output().splitlines()[before:]
    assert len(lines) <= 5, "\n".join(lines)


def status(cluster: Cluster, *args: str) -> subprocess.CompletedProcess[str]:
    return cluster.command("status", *args, COLUMNS="160")


def test_status_shows_the_worker_and_each_partition(cluster: Cluster, worker: Worker) -> None:
    done = status(cluster, "--url", worker.url("/"))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [re.split(r"\s*│\s*", line) for line in done.stdout.splitlines() if "│" in line]
    states = {row[1]: row[3] for row in rows if row[1].isdigit()}
    assert states == {"0": "ready", "1": "ready", "2": "ready", "3": "ready"}
    name = worker.url("").removeprefix("http://")
    assert [row[2:4] for row in rows if row[1] == name] == [["ready", "4"]]


def test_status_without_a_worker_is_one_line_and_exit_code_2(cluster: Cluster) -> None:
    done = status(cluster, "--url", "http://127.0.0.1:1")
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: no worker answers at http://127.0.0.1:1: Connection refused\n", done.stderr
    )


def test_the_gauges_of_a_lost_partition_go_and_those_of_the_others_stay(
    cluster: Cluster, worker: Worker
) -> None:
    """The last test of the module: afterwards two workers share the partitions."""
    other = cluster.worker("b").start()
    worker.wait_ready()

    def partitions(name: str, one: Worker) -> set[str]:
        return {
            line.split('"')[1] for line in one.metrics() if line.startswith(f"{name}{{partition=")
        }

    for name in (
        "reels_consumer_lag_records",
        "reels_consumer_lag_seconds",
        "reels_recovery_records_remaining",
        "reels_uncommitted_seconds",
    ):

        def is_told_once(name: str = name) -> bool:
            all_told = partitions(name, worker) | partitions(name, other)
            return all_told == {"0", "1", "2", "3"} and not (
                partitions(name, worker) & partitions(name, other)
            )

        wait_until(is_told_once, f"{name} of each partition is told once", 20)
    assert worker.metrics()["reels_rebalances_total"] >= 2
    assert worker.metrics()["reels_rebalance_seconds_count"] >= 2
    for each in (worker, other):
        assert each.terminate() == 0
