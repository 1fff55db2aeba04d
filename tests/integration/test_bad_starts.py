"""A worker that cannot start logs one line with what to do; a worker that can wait waits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from embedded import EmbeddedKafka
from tests.faults.small_disk import small_disk
from tests.integration.stream import START, event
from tests.ports import reserve_ports
from tests.worker import ROOT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster
    from tests.worker import Worker


def refusal(worker: Worker) -> str:
    """Return the only line that says why a worker has ended."""
    output = worker.output()
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if "error: " in line]
    assert len(lines) == 1, output
    assert lines[0] == output.splitlines()[-1]
    return lines[0]


def test_a_worker_started_before_the_broker_waits_for_it(
    make_cluster: Callable[..., Cluster],
) -> None:
    (port,) = reserve_ports(1)
    cluster = make_cluster(bootstrap=f"127.0.0.1:{port}")
    worker = cluster.worker().launch()

    def complaints() -> list[str]:
        return [line for line in worker.output().splitlines() if "no broker answers" in line]

    wait_until(lambda: len(complaints()) >= 2, "it tries again")
    assert f"127.0.0.1:{port}" in complaints()[0]
    with EmbeddedKafka(port):
        worker.wait_ready()
        with cluster.producer() as producer:
            producer.produce(cluster.events, event(5, 1, START, 1), b"5")
        cluster.wait_until_applied()
        assert worker.get("/users/5")["total_videos_watched"] == 1
        assert worker.terminate() == 0
    assert "Traceback" not in worker.output()


def test_a_topic_with_another_number_of_partitions_is_refused(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = make_cluster(TOPIC_PARTITIONS=4)
    cluster.create_topic(cluster.events, partitions=3)
    worker = cluster.worker().launch()
    assert worker.wait_exit() != 0
    line = refusal(worker)
    assert f"topic {cluster.events} has 3 partitions" in line
    assert "TOPIC_PARTITIONS=3" in line


@pytest.mark.parametrize(
    ("name", "value", "table", "disk"),
    [
        ("REELS_USER_STEP", "5m", "user_metrics", "same disk"),
        ("REELS_USER_WINDOW", "48h", "user_metrics", "empty disk"),
        ("REELS_VIDEO_STEP", "1m", "video_metrics", "same disk"),
    ],
)
def test_a_longer_window_or_a_finer_step_is_refused(
    built_cluster: Cluster, name: str, value: str, table: str, disk: str
) -> None:
    worker = built_cluster.worker("a" if disk == "same disk" else f"new-{name}", **{name: value})
    worker.launch()
    assert worker.wait_exit() != 0
    line = refusal(worker)
    # Creators have the window and the step of users, so either table may be named.
    tables = {table, table.replace("user", "creator")}
    assert any(f"table {each} has a window of" in line for each in tables)
    assert "rebuild --to-app-id" in line


@pytest.fixture(scope="module")
def built_cluster(make_shared_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_shared_cluster(BROKER_SESSION_TIMEOUT=6)
    cluster.create_topic(cluster.events)
    worker = cluster.worker("a").start()
    with cluster.producer() as producer:
        producer.produce(cluster.events, event(5, 1, START, 1), b"5")
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    return cluster


def test_two_workers_on_one_data_directory_are_refused(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = make_cluster()
    first = cluster.worker("same").start()
    second = cluster.worker("same").launch()
    assert second.wait_exit() != 0
    assert "is in use by another worker" in refusal(second)
    assert first.status("/readyz") == 200
    assert first.terminate() == 0


def test_a_data_directory_that_cannot_be_written_to_is_refused(
    make_cluster: Callable[..., Cluster],
) -> None:
    worker = make_cluster().worker()
    # Not even root can create a folder there.
    worker.data_dir = Path("/proc/nowhere")
    assert worker.launch().wait_exit() == 1
    line = refusal(worker)
    assert "/proc/nowhere cannot be written to" in line
    assert "--datadir" in line


@pytest.mark.parametrize("left", [0, 96 << 10], ids=["nothing left", "not enough left"])
def test_a_data_directory_on_a_full_disk_is_refused(
    make_cluster: Callable[..., Cluster], left: int
) -> None:
    worker = make_cluster().worker()
    with small_disk(worker.data_dir, left + (1 << 20)) as disk:
        disk.fill()
        with (worker.data_dir / "ballast").open("r+b") as ballast:
            ballast.truncate(ballast.seek(0, os.SEEK_END) - left)
        assert worker.launch().wait_exit() == 1
    line = refusal(worker)
    assert f"the disk of {worker.data_dir} is full" in line
    assert "free some space" in line
    assert "--datadir" in line


def test_a_data_directory_is_made_with_the_folders_above_it(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    worker = make_cluster().worker()
    worker.data_dir = tmp_path / "one" / "two" / "three"
    assert worker.start().terminate() == 0
    assert worker.data_dir.is_dir()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["wurker"], "Error: No such command 'wurker'."),
        (["worker", "--prot", "1"], "Error: No such option: --prot"),
        (["generate", "--count", "many"], "Error: Invalid value for '--count'"),
        (["kafka", "--port", "70000"], "Error: Invalid value for '--port'"),
        (["topics"], "error: no broker answers at kafka://127.0.0.1:1 (Connection refused)"),
        (["generate"], "error: no broker answers at 127.0.0.1:1 (Connection refused)"),
        (["audit"], "error: no broker answers at kafka://127.0.0.1:1 (Connection refused)"),
        (
            ["replay-dead-letters", "--reason", "late"],
            "error: no broker answers at kafka://127.0.0.1:1 (Connection refused)",
        ),
        (["top", "--url", "http://127.0.0.1:1"], "error: no worker answers at http://127.0.0.1:1:"),
        (["status", "--url", "localhost:1"], "error: 'localhost:1' is not an address"),
    ],
)
def test_a_command_that_cannot_run_says_why_in_its_last_line(
    arguments: list[str], line: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", *arguments],
        cwd=ROOT,
        env={**os.environ, "BROKER_URL": "kafka://127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in {1, 2}
    assert done.stderr.splitlines()[-1].startswith(line)
    assert "Traceback" not in done.stderr + done.stdout


def test_a_broker_whose_name_nobody_knows_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", "topics"],
        cwd=ROOT,
        env={**os.environ, "BROKER_URL": "kafka://no.such.host.invalid:9092"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "the address of no.such.host.invalid is unknown" in line
    assert "REELS_SECURITY_PROTOCOL" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REELS_USER_STEP", "banana"),
        ("REELS_VIDEO_STEP", "7m"),
        ("TOPIC_PARTITIONS", "0"),
        ("BROKER_URL", "http://127.0.0.1:9092"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name_and_what_is_allowed(
    make_cluster: Callable[..., Cluster], name: str, value: str
) -> None:
    worker = make_cluster().worker(**{name: value}).launch()
    assert worker.wait_exit() != 0
    line = refusal(worker)
    assert "allowed is" in line
    assert name in line
    assert len(worker.output().splitlines()) == 1


def test_a_taken_web_port_is_refused(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    first, second = cluster.worker("a").start(), cluster.worker("b")
    second.port = first.port
    second.launch()
    assert second.wait_exit() != 0
    assert str(first.port) in refusal(second)
    assert first.status("/healthz") == 200
