"""Topics that vanish under a running worker: recreated, or the worker ends with the reason."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from embedded import EmbeddedKafka
from tests.faults.aftermath import QUICK, check_aftermath
from tests.integration.stream import send_stream, untidy_stream
from tests.ports import reserve_ports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.worker import Worker


pytestmark = pytest.mark.faults

#: Lines that a worker may log from a fault to its end, however long that takes.
FEW_LINES = 120


def last_word(worker: Worker) -> str:
    """Return why a worker has ended, and check how it reported that."""
    assert worker.wait_exit() == 1
    output = worker.output()
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if "error: " in line]
    assert line == output.splitlines()[-1]
    return line


def delete(cluster: Cluster, topic: str) -> None:
    cluster.admin.delete_topics([topic])[topic].result(30)


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("events", "start over with another REELS_APP_ID"),
        pytest.param("deltas", "counts would lack them", marks=pytest.mark.slow),
        ("user_changelog", "the only copy of this table"),
        pytest.param("viral", "restart all workers", marks=pytest.mark.slow),
    ],
)
def test_a_topic_that_is_deleted_ends_the_worker_within_seconds_with_its_reason(
    cluster: Cluster, topic: str, said: str
) -> None:
    name = getattr(cluster, topic)
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(1500, seed=61))
    cluster.wait_until_applied()
    before = len(worker.output().splitlines())
    delete(cluster, name)
    line = last_word(worker)
    assert f"the topic {name} was deleted" in line
    assert said in line
    assert len(worker.output().splitlines()) - before < FEW_LINES


def test_a_viral_topic_that_is_made_again_has_all_that_is_viral_after_a_restart(
    cluster: Cluster,
) -> None:
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(3000, seed=62))
    cluster.wait_until_applied()
    delete(cluster, cluster.viral)
    assert f"the topic {cluster.viral} was deleted" in last_word(worker)
    worker.start()
    check_aftermath(cluster, worker)


def test_a_cluster_that_comes_back_empty_ends_the_worker_and_leaves_its_tables(
    make_cluster: Callable[..., Cluster],
) -> None:
    (port,) = reserve_ports(1)
    cluster = make_cluster(bootstrap=f"127.0.0.1:{port}", **QUICK)
    with EmbeddedKafka(port):
        cluster.create_topic(cluster.events)
        worker = cluster.worker().launch()
        # A Kafka that has just started must create its own topics first.
        worker.wait_ready(180)
        send_stream(cluster, untidy_stream(1500, seed=63))
        cluster.wait_until_applied(180)
    tables = databases(worker)
    before, begun = len(worker.output().splitlines()), time.monotonic()
    with EmbeddedKafka(port):
        line = last_word(worker)
        seconds = time.monotonic() - begun
    assert "no longer have any of the program's topics" in line
    assert "BROKER_URL" in line
    assert len(worker.output().splitlines()) - before < FEW_LINES + 5 * seconds
    assert databases(worker) == tables


def databases(worker: Worker) -> set[Path]:
    """Return the paths of the databases that the worker does not delete."""
    return {path for path in worker.data_dir.glob("**/*.db") if any(path.glob("CURRENT"))}
