"""``--json`` prints exactly the shape that docs/operations.md documents, on stdout."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec
import pytest

from commands import shapes
from tests.integration.stream import START, event
from tests.oracle_events import partition_of
from tests.worker import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster import Cluster
    from tests.worker import Worker

T = TypeVar("T")


@pytest.fixture(scope="module")
def cluster(make_shared_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_shared_cluster()
    cluster.create_topic(cluster.events)
    home = partition_of(7, cluster.partitions)
    with cluster.producer() as producer:
        producer.produce(cluster.events, event(7, 1, START, "a"), b"7", home)
        producer.produce(cluster.events, event(7, 1, START, "a"), b"7", home)
    return cluster


@pytest.fixture(scope="module")
def worker(cluster: Cluster) -> Iterator[Worker]:
    worker = cluster.worker().start()
    cluster.wait_until_applied()
    yield worker
    assert worker.terminate() == 0


def printed(cluster: Cluster, shape: type[T], *words: str) -> tuple[int, T]:
    """Run a command with ``--json`` and decode its output strictly as that shape."""
    done = cluster.command("--json", *words)
    assert done.stdout.count("\n") == 1, done.stdout + done.stderr
    return done.returncode, msgspec.json.decode(done.stdout, type=shape)


def test_status_tells_of_each_worker_and_partition(cluster: Cluster, worker: Worker) -> None:
    code, found = printed(cluster, shapes.Status, "status", "--url", worker.url(""))
    assert (code, found.well) == (0, True)
    assert [(each.url, each.state, each.partitions) for each in found.workers] == [
        (worker.url(""), "ready", [0, 1, 2, 3])
    ]
    assert [(each.number, each.state) for each in found.partitions] == [
        (number, "ready") for number in range(4)
    ]


def test_status_goes_to_the_port_that_stands_before_the_command(
    cluster: Cluster, worker: Worker
) -> None:
    """``faust -A app --web-port N status`` asks the worker at that port."""
    code, found = printed(cluster, shapes.Status, "--web-port", str(worker.port), "status")
    assert (code, found.workers[0].url) == (0, worker.url(""))


def test_audit_tells_what_it_counted(cluster: Cluster, worker: Worker) -> None:
    code, found = printed(cluster, shapes.Audit, "audit")
    assert (code, found.clean, found.records) == (0, True, 2)
    assert found.outcomes == {"applied": 1, "duplicate": 1, "late": 0, "rejected": 0, "rekeyed": 0}
    assert (found.users, found.videos) == (shapes.Compared(1, 0), shapes.Compared(1, 0))


@pytest.mark.parametrize("check", [False, True])
def test_topics_tells_of_each_topic_and_with_check_of_its_settings(
    cluster: Cluster, worker: Worker, check: bool
) -> None:
    code, found = printed(cluster, shapes.Topics, "topics", *(["--check"] if check else []))
    assert (code, found.well) == (0, True)
    by_name = {each.name: each for each in found.topics}
    assert by_name[cluster.events].partitions == 4
    assert all(each.exists for each in found.topics)
    assert any(each.settings for each in found.topics) == check


def test_quiet_commands_print_nothing_and_have_their_exit_code(
    cluster: Cluster, worker: Worker
) -> None:
    done = cluster.command("-q", "status", "--url", worker.url(""))
    assert (done.returncode, done.stdout) == (0, "")


def test_operations_has_each_field_of_each_shape() -> None:
    """Users write programs by that table."""
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.partition("## Output for programs")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section))
    structs = [each for each in vars(shapes).values() if isinstance(each, type)]
    fields = {
        name
        for each in structs
        if issubclass(each, msgspec.Struct)
        for name in each.__struct_fields__
    }
    assert len(fields) > 30
    assert fields <= named
