"""A wall clock that jumps, and tables that another release of the program has written."""

from __future__ import annotations

import struct
import time

import pytest

from tests.faults.aftermath import QUICK, check_aftermath, check_answers
from tests.faults.test_crashes import SABOTAGE
from tests.integration.stream import send_stream, under_load, untidy_stream
from tests.worker import wait_until

pytestmark = pytest.mark.faults

HOUR_S = 3600.0


@pytest.fixture
def cluster(make_cluster):
    cluster = make_cluster(**QUICK)
    cluster.create_topic(cluster.events)
    return cluster


def test_a_wall_clock_that_jumps_an_hour_each_way_changes_no_count(cluster, tmp_path):
    """Events bear their own time; only how far ahead of the clock they may be hangs on it."""
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("<d", 0.0))
    worker = cluster.worker().start(SABOTAGE, FAULT_CLOCK=str(clock))
    with under_load(cluster, untidy_stream(12_000, seed=60), rate=1200):
        for shift in (HOUR_S, 0.0, -HOUR_S, HOUR_S, -HOUR_S):
            before = sum(cluster.committed(cluster.events).values())
            with clock.open("r+b") as file:
                file.write(struct.pack("<d", shift))
            time.sleep(1.0)
            wait_until(
                lambda before=before: sum(cluster.committed(cluster.events).values()) > before,
                "commits go on",
            )
    check_aftermath(cluster, worker)


@pytest.mark.slow
@pytest.mark.parametrize("version", [0, 2])
@pytest.mark.parametrize("disk", ["same disk", "empty disk"])
def test_rows_of_another_release_are_refused_and_left_as_they_are(cluster, version, disk):
    """Whoever goes back to the release that wrote them finds everything as it was."""
    stream = untidy_stream(4000, seed=61)
    release = {"FAULT_LAYOUT": version}
    worker = cluster.worker("a").start(SABOTAGE, **release)
    send_stream(cluster, stream[:2000])
    check_answers(cluster, worker)
    assert worker.terminate() == 0
    other = worker if disk == "same disk" else cluster.worker("b")
    other.launch()
    assert other.wait_exit() == 1
    (line,) = [line for line in other.output().splitlines() if "error: " in line]
    assert f"is of version {version}, this program writes version 1" in line
    assert "REELS_APP_ID" in line
    worker.start(SABOTAGE, **release)
    send_stream(cluster, stream[2000:])
    check_aftermath(cluster, worker)
