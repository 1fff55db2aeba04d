"""A clean start logs only known lines, on a new Kafka and with a backlog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from embedded import EmbeddedKafka
from tests.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.worker import Worker


#: All healthy log lines of a worker at level info, without time, process and service.
KNOWN = (
    r"Starting\.\.\.",
    r"[A-Z_]+ = .*",
    r"the tables are in /.*",
    r"listening on 127\.0\.0\.1 port \d+, known to other workers as http://127\.0\.0\.1:\d+",
    r"created topic [\w.-]+",
    r"joining the group [\w.-]+",
    r"the previous worker of this data directory has left the group: .*",
    r"recover(ing|ed).*records.*",
    r"partitions ready after \d+\.\d\d s: 0, 1, 2, 3",
    r"partitions that stay continued after .*",
    r"the hot path runs (compiled|plain)",
    r"Signal received: .*",
    r"Stopping\.\.\.",
)

_LINE = re.compile(
    r"\[[-\d :,]+\] \[\d+\] \[(INFO|WARNING|ERROR|CRITICAL)\] (?:\[\^.*?\]: )?(.*?) *"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An app on a Kafka that nobody has used before."""
    folder = tmp_path_factory.mktemp("new")
    with EmbeddedKafka(0, folder / "kafka") as kafka:
        cluster = Cluster(kafka.bootstrap, folder, "fresh")
        yield cluster
        cluster.close()


def unknown_lines(worker: Worker) -> list[str]:
    """Return the lines after the banner that are not known."""
    lines = worker.output().splitlines()
    log = [line for line in lines if line.startswith("[")]
    assert len(log) > 40, "the settings are listed"
    banner = [line for line in lines if not line.startswith("[")]
    assert all(re.match(r"[+|┌│└ƒ]", line) for line in banner), banner
    assert not any("memory:" in line for line in lines)
    found = [_LINE.fullmatch(line) for line in log]
    return [
        line
        for line, match in zip(log, found, strict=True)
        if match is None
        or match[1] != "INFO"
        or not any(re.fullmatch(known, match[2]) for known in KNOWN)
    ]


def test_the_first_start_on_a_new_kafka_says_what_it_does_and_nothing_else(
    cluster: Cluster,
) -> None:
    """The data directory, then ready; no error about a coordinator that is being created."""
    worker = cluster.worker().start()
    assert worker.terminate() == 0
    assert unknown_lines(worker) == []
    assert f"the tables are in {worker.data_dir}" in worker.output()


def test_a_start_with_a_backlog_says_nothing_of_timers_that_are_late(cluster: Cluster) -> None:
    """The metrics show the lag."""
    made = cluster.command("generate", "--rate", "0", "--count", "100000", "--users", "5000")
    assert made.returncode == 0, made.stderr
    worker = cluster.worker().start()
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    assert unknown_lines(worker) == []


def test_a_worker_that_comes_and_goes_is_no_warning_in_the_log_of_the_others(
    cluster: Cluster,
) -> None:
    """Each time, aiokafka logs a failed heartbeat, although nothing is wrong."""
    staying, coming = cluster.worker().start(), cluster.worker("second").start()
    staying.wait_ready()
    assert coming.terminate() == 0
    staying.wait_ready()
    assert staying.terminate() == 0
    assert [line for line in staying.output().splitlines() if "[WARNING]" in line] == []
    assert staying.output().count("partitions ready after") > 1
