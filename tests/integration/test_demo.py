"""``make demo``: all parts start, a line of figures appears, and all parts end in order."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.worker import ROOT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster import Cluster

    #: Starts a demo; returns its process and a function that reads its output.
    Start = Callable[..., tuple[subprocess.Popen[bytes], Callable[[], str]]]


FIGURES = re.compile(r"events/s \| [1-9][0-9,]* applied, .*\| p99 .*\| lag ")


@pytest.fixture
def demo(make_cluster: Callable[..., Cluster], tmp_path: Path) -> Iterator[Start]:
    """Start the demo under its own names, and kill it if it has not ended."""
    processes: list[subprocess.Popen[bytes]] = []
    output = tmp_path / "demo.out"

    def start(**environ: str) -> tuple[subprocess.Popen[bytes], Callable[[], str]]:
        environment = make_cluster().environment | {"TMPDIR": str(tmp_path)} | environ
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "commands.demo"],
                cwd=ROOT,
                env={name: value for name, value in environment.items() if value},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        processes.append(process)
        return process, output.read_text

    yield start
    for process in processes:
        process.kill()
        process.wait()


def address_of(said: str) -> re.Match[str]:
    found = re.search(r"dashboard: http://127\.0\.0\.1:(\d+)/", said)
    assert found is not None
    return found


def is_listening(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_it_takes_another_port_ends_by_itself_and_leaves_nothing(
    demo: Start, tmp_path: Path
) -> None:
    with suppress(OSError), socket.create_server(("127.0.0.1", 9092)):
        process, said = demo(DEMO_SECONDS="6", BROKER_URL="")
        assert process.wait(120) == 0, said()
    assert "port 9092 is in use: Kafka gets another one" in said()
    assert FIGURES.search(said()), said()
    assert not is_listening(int(address_of(said())[1]))
    assert [path.name for path in tmp_path.glob("reels-*")] == []


def test_ctrl_c_ends_it_in_order(demo: Start, tmp_path: Path) -> None:
    process, said = demo()
    wait_until(lambda: FIGURES.search(said()), "there are figures")
    assert "starting the embedded Kafka" not in said()
    (folder,) = tmp_path.glob("reels-demo-*")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(30) == 0, said()
    assert said().rstrip().endswith("stopped")
    assert not is_listening(int(address_of(said())[1]))
    assert not folder.exists()


def test_a_wrong_setting_is_said_in_one_line_before_anything_starts(
    demo: Start, tmp_path: Path
) -> None:
    process, said = demo(BROKER_URL="", REELS_USER_STEP="7m")
    assert process.wait(60) == 1
    (line,) = said().splitlines()
    assert line.startswith("error: REELS_USER_WINDOW")
    assert [path.name for path in tmp_path.glob("reels-*")] == []


def test_a_part_that_ends_is_said_with_its_last_words(demo: Start, tmp_path: Path) -> None:
    """The broker refuses more replicas of a topic than there are brokers."""
    process, said = demo(TOPIC_REPLICATION_FACTOR="3")
    assert process.wait(60) == 1
    assert "error: worker-1 ended with code 1:" in said()
    assert "TOPIC_REPLICATION_FACTOR" in said().splitlines()[-1]
    (folder,) = tmp_path.glob("reels-demo-*")
    assert (folder / "worker-1.log").exists()
