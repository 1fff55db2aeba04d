"""A wall clock that jumps, and tables that another release of the program has written."""

from __future__ import annotations

import json
import signal
import struct
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from models.dedup import is_sealed_key
from tables.layout import LAYOUT_KEY
from tests.faults.aftermath import check_aftermath, check_answers
from tests.faults.test_crashes import SABOTAGE
from tests.integration.stream import send_stream, under_load, untidy_stream
from tests.models.older import make_version_1, make_version_2
from tests.worker import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.worker import Worker


pytestmark = pytest.mark.faults

HOUR_S = 3600.0


def is_beyond(cluster: Cluster, before: int) -> bool:
    return sum(cluster.committed(cluster.events).values()) > before


def test_a_wall_clock_that_jumps_an_hour_each_way_changes_no_count(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Events carry their own time; the clock only limits how far ahead of it they may be."""
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("<d", 0.0))
    worker = cluster.worker().start(SABOTAGE, FAULT_CLOCK=str(clock))
    with under_load(cluster, untidy_stream(12_000, seed=60), rate=1200):
        for shift in (HOUR_S, 0.0, -HOUR_S, HOUR_S, -HOUR_S):
            before = sum(cluster.committed(cluster.events).values())
            with clock.open("r+b") as file:
                file.write(struct.pack("<d", shift))
            time.sleep(1.0)
            wait_until(partial(is_beyond, cluster, before), "commits go on")
    check_aftermath(cluster, worker)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("disk", ["same disk", "empty disk"])
def test_users_of_releases_before_are_taken_over(cluster: Cluster, disk: str, version: int) -> None:
    """Their values had more fields and no positions; duplicates of all ids are still detected."""
    stream = untidy_stream(6000, seed=62)
    half = len(stream) * 3 // 5
    worker = cluster.worker("a").start()
    send_stream(cluster, stream[:half])
    check_answers(cluster, worker)
    assert worker.terminate() == 0
    rewritten = write_users_as_of_version(version, cluster)
    cluster.users_have_positions = False
    assert rewritten > 1
    worker = worker if disk == "same disk" else cluster.worker("b")
    worker.start()
    send_stream(cluster, stream[half - 200 :])
    check_aftermath(cluster, worker)


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
def test_a_group_whose_misplaced_events_lie_in_the_input_is_taken_over_in_mid_stream(
    cluster: Cluster, end: str
) -> None:
    """Copies that the earlier release wrote count where they are, and no event counts twice."""
    cluster.was_taken_over = True
    stream = untidy_stream(6000, seed=63)
    half = len(stream) * 3 // 5
    send_stream(cluster, stream[:half])
    worker = cluster.worker()
    if end == "SIGTERM":
        # Events processed on shutdown leave copies to count, so all must be processed before it.
        worker.start(SABOTAGE, FAULT_PASS_ON="input", BROKER_COMMIT_INTERVAL=10)
        wait_until(lambda: events_read(worker) >= half, "all is processed")
        assert worker.terminate() == 0
    else:
        # The first commit contains some of the misplaced events.
        worker.launch(
            SABOTAGE, FAULT_PASS_ON="input", FAULT="after commit", BROKER_COMMIT_INTERVAL=1
        )
        assert worker.wait_exit() == -signal.SIGKILL
        assert cluster.is_unread(cluster.events)
    cluster.wait_until_no_transaction_is_open()
    copies = len(cluster.read(cluster.events)) - half
    assert copies > 0
    worker.start()
    send_stream(cluster, stream[half - 200 :])
    oracle = check_aftermath(cluster, worker)
    assert copies < oracle.outcomes["rekeyed"]
    assert cluster.read(cluster.repartition)


def events_read(worker: Worker) -> float:
    metrics = worker.metrics().items()
    return sum(count for name, count in metrics if name.startswith("reels_events_read_total{"))


def write_users_as_of_version(version: int, cluster: Cluster) -> int:
    """Rewrite every user's rows in the format of a release; return how many users had blocks."""
    make_older = {1: make_version_1, 2: make_version_2}[version]
    sealed = 0
    for partition in range(cluster.partitions):
        rows = {
            record.key or b"": record.value
            for record in cluster.read(cluster.user_changelog)
            if record.partition == partition
        }
        layout = rows.pop(LAYOUT_KEY)
        older = dict(rows)
        for key, value in rows.items():
            if not is_sealed_key(key) and value is not None:
                make_older(older, key)
                sealed += bool(value[1])
        older[LAYOUT_KEY] = json.dumps(json.loads(layout or b"") | {"version": version}).encode()
        with cluster.producer() as producer:
            for key, value in older.items():
                if value != rows.get(key):
                    producer.produce(cluster.user_changelog, value, key, partition)
    return sealed


@pytest.mark.slow
@pytest.mark.parametrize("disk", ["same disk", "empty disk"])
def test_rows_of_another_release_are_refused_and_left_as_they_are(
    cluster: Cluster, disk: str
) -> None:
    """A return to the release that wrote them finds everything unchanged."""
    stream = untidy_stream(4000, seed=61)
    version = 9
    release = {"FAULT_LAYOUT": version}
    worker = cluster.worker("a").start(SABOTAGE, **release)
    send_stream(cluster, stream[:2000])
    check_answers(cluster, worker)
    assert worker.terminate() == 0
    other = worker if disk == "same disk" else cluster.worker("b")
    other.launch()
    assert other.wait_exit() == 1
    (line,) = [line for line in other.output().splitlines() if "error: " in line]
    assert f"has version {version}, but this program writes version" in line
    assert "REELS_APP_ID" in line
    worker.start(SABOTAGE, **release)
    send_stream(cluster, stream[2000:])
    check_aftermath(cluster, worker)
