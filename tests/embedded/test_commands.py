"""``faust -A app kafka`` and ``python -m embedded``, as a shell sees them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from embedded.probe import HOST, answering_cluster

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., subprocess.Popen[str]]
    FindChildren = Callable[[int], list[int]]

EMBEDDED = ("-m", "embedded", "run")


@pytest.fixture
def faust_kafka(tmp_path: Path) -> tuple[str, ...]:
    """Return the command line of ``faust kafka``, with an app whose broker does not exist."""
    (tmp_path / "scratch_app.py").write_text(
        "import faust\nimport commands.kafka\n"
        "app = faust.App('scratch', broker='kafka://127.0.0.1:1')\n"
    )
    return ("-m", "faust", "-W", str(tmp_path), "-A", "scratch_app", "kafka")


def read_port(process: subprocess.Popen[str]) -> int:
    """Wait for the line that says that Kafka is ready, and return its port."""
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"Kafka \S+ is ready on 127\.0\.0\.1:(\d+), .*Ctrl-C stops it\.\n", line)
    assert found, (line, process.stderr and process.stderr.read())
    return int(found[1])


def test_faust_kafka_needs_no_broker_and_ctrl_c_stops_it_with_exit_code_0(
    run_python: Run, faust_kafka: tuple[str, ...], tmp_path: Path
) -> None:
    process = run_python(*faust_kafka, "--port", "0", "--data-dir", str(tmp_path / "data"))
    port = read_port(process)
    assert answering_cluster(port)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert answering_cluster(port) is None
    assert (tmp_path / "data" / "kafka").exists()


def test_faust_lists_the_command(run_python: Run, faust_kafka: tuple[str, ...]) -> None:
    process = run_python(*faust_kafka[:-1], "--help")
    output, _ = process.communicate(timeout=20)
    assert re.search(r"^  kafka +Run the embedded Kafka", output, re.MULTILINE)


def test_sigterm_stops_it_with_exit_code_0_and_without_a_data_folder_nothing_stays(
    run_python: Run, tmp_path: Path
) -> None:
    process = run_python(*EMBEDDED, "--port", "0")
    read_port(process)
    assert list(tmp_path.glob("reels-kafka-*"))
    process.terminate()
    assert process.wait(20) == 0
    assert not list(tmp_path.glob("reels-kafka-*"))


def test_ctrl_c_before_it_is_ready_stops_it_with_exit_code_0(
    run_python: Run, tmp_path: Path
) -> None:
    process = run_python(*EMBEDDED, "--port", "0")
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob("reels-kafka-*/kafka/meta.properties")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert not list(tmp_path.glob("reels-kafka-*"))


def test_a_second_ctrl_c_does_not_wait_for_order(
    run_python: Run, find_children: FindChildren
) -> None:
    process = run_python(*EMBEDDED, "--port", "0")
    read_port(process)
    (java,) = find_children(process.pid)
    os.kill(java, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0


def test_a_taken_port_is_one_line_and_exit_code_1(run_python: Run) -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        process = run_python(*EMBEDDED, "--port", str(port))
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert output == ""
    assert re.fullmatch(rf"Error: port {port} on 127\.0\.0\.1 is in use .*\n", errors)


def test_a_kafka_that_ends_by_itself_is_an_error(
    run_python: Run, find_children: FindChildren
) -> None:
    process = run_python(*EMBEDDED, "--port", "0")
    read_port(process)
    (java,) = find_children(process.pid)
    os.kill(java, signal.SIGKILL)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "Error: Kafka has ended (exit code -9)" in errors


def test_prepare_verifies_what_is_there_and_says_where(run_python: Run) -> None:
    process = run_python("-m", "embedded", "prepare")
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0
    assert re.search(r"Kafka \S+ is verified in /", errors)
