"""An outage is visible: in ``status``, in the dashboard's stream and in the metrics."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.stream import send_stream, untidy_stream
from tests.worker import ROOT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster import Cluster
    from tests.worker import Json, Worker


#: Long enough to inspect the state after a kill, before others take over the partitions.
SESSION = 20


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_cluster(TOPIC_PARTITIONS=2, BROKER_SESSION_TIMEOUT=SESSION)
    cluster.create_topic(cluster.events)
    return cluster


def two_workers(cluster: Cluster, **second_settings: Any) -> tuple[Worker, Worker]:
    """Two workers with one partition each."""
    pair = cluster.worker("a").launch(), cluster.worker("b").launch(**second_settings)
    for worker in pair:
        worker.wait_ready()
    wait_until(
        lambda: all(len(w.get("/overview")["partitions"]["owned"]) == 1 for w in pair),
        "each has its half",
    )
    for worker in pair:
        worker.wait_ready()
    return pair


def status(cluster: Cluster, worker: Worker, *options: str) -> tuple[int, str]:
    """Run ``status`` in 80 columns; return its exit code and its output."""
    done = cluster.command("status", "--url", worker.url(""), *options, COLUMNS="80")
    return done.returncode, done.stdout


class Stream:
    """The stream of figures that the dashboard receives."""

    def __init__(self, worker: Worker) -> None:
        self._answer = urllib.request.urlopen(worker.url("/overview/stream"), timeout=30)

    def until(self, is_so: Callable[[Json], object], what: str) -> Json:
        """Return the first figures for which the predicate is true."""
        deadline = time.monotonic() + 60
        for line in self._answer:
            if line.startswith(b'data: {"time"') and b'"workers"' in line:
                shown = json.loads(line.removeprefix(b"data: "))
                if is_so(shown):
                    return shown
            assert time.monotonic() < deadline, what
        raise AssertionError(f"the stream has ended before {what}")

    def close(self) -> None:
        self._answer.close()


@pytest.fixture
def watch() -> Iterator[Callable[[Worker], Stream]]:
    streams: list[Stream] = []

    def begin(worker: Worker) -> Stream:
        streams.append(Stream(worker))
        return streams[-1]

    yield begin
    for stream in streams:
        stream.close()


def state_of(shown: Json, worker: Worker) -> str | None:
    return {each["url"].rstrip("/"): each["state"] for each in shown["workers"]}.get(worker.url(""))


def test_after_a_kill_what_waits_in_the_partitions_of_the_dead_is_told_by_the_brokers(
    cluster: Cluster, watch: Callable[[Worker], Stream]
) -> None:
    first, second = two_workers(cluster)
    (number,) = second.get("/overview")["partitions"]["owned"]
    stream = watch(first)
    stream.until(lambda shown: shown["lag"]["records"] == 0, "nothing waits")
    second.kill()
    with cluster.producer() as producer:
        for count in range(50):
            producer.produce(cluster.events, b"no event %d" % count, partition=number)
    shown = stream.until(lambda shown: shown["lag"]["unanswered"], "it is noticed")
    assert shown["partitions"][number]["state"] == "silent"
    assert shown["lag"]["unanswered"] == [number]
    assert shown["partitions"][number]["lag"]["records"] != 0
    code, said = status(cluster, first)
    assert code == 1
    assert "(1 of 2 partitions have no answer)" in " ".join(said.split())
    shown = stream.until(
        lambda shown: (
            shown["partitions"][number]["state"] == "silent"
            and shown["partitions"][number]["lag"]["records"] == 50
        ),
        "the brokers have told",
    )
    assert shown["partitions"][number]["lag"]["seconds"] is None
    assert shown["lag"]["records"] >= 50
    assert shown["lag"]["seconds"] is None
    # Then the other worker takes over, and the dead one stays listed as lost.
    shown = stream.until(lambda shown: shown["lag"]["records"] == 0, "all is worked off")
    assert state_of(shown, second) == "lost"
    assert first.metrics()["reels_workers_lost"] == 1
    code, said = status(cluster, first)
    assert code == 1
    assert "lost since" in said


def test_one_that_left_in_order_is_no_trouble_unless_more_workers_are_expected(
    cluster: Cluster,
) -> None:
    first, second = two_workers(cluster)
    send_stream(cluster, untidy_stream(300, seed=5))
    cluster.wait_until_applied()
    wait_until(lambda: status(cluster, first, "--expect-workers", "2")[0] == 0, "all is well")
    assert second.terminate() == 0
    wait_until(lambda: first.metrics()["reels_workers"] == 1, "it is out of the group")
    first.wait_ready()
    # Nobody watched when it went.
    wait_until(lambda: status(cluster, first)[0] == 0, "the one that is left has all")
    code, said = status(cluster, first, "--expect-workers", "2")
    assert code == 1
    assert "left since" in said
    assert "1 of 2 expected workers answer" in said
    assert first.metrics()["reels_workers_lost"] == 0
    second.start()
    wait_until(lambda: status(cluster, first, "--expect-workers", "2")[0] == 0, "it is back")


def knows_other_rules(worker: Worker) -> bool:
    return worker.metrics()["reels_workers_with_other_rules"] == 1


def test_a_worker_with_other_rules_is_warned_of_by_both_and_shown(cluster: Cluster) -> None:
    first, second = two_workers(cluster, REELS_VIRAL_COEFFICIENT=2, REELS_VIRALMIN_VIEWS=5)
    pair = {first: second, second: first}
    for worker, other in pair.items():
        wait_until(
            partial(knows_other_rules, worker),
            "each knows of the other",
        )
        assert f"{other.url('')} counts by different rules: REELS_VIRAL_COEFFICIENT is" in (
            worker.output()
        )
    code, said = status(cluster, first)
    assert code == 1
    assert "different rules: REELS_VIRAL_COEFFICIENT is" in " ".join(said.split())
    assert "did you mean REELS_VIRAL_MIN_VIEWS?" in second.output()
    assert "did you mean" not in first.output()


def test_a_command_names_a_variable_that_is_no_setting(cluster: Cluster) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", "status", "--url", "http://127.0.0.1:1"],
        cwd=ROOT,
        env={**cluster.environment, "REELS_HTTP_TOKN": "secret"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "warning: REELS_HTTP_TOKN is set" in done.stderr
    assert "did you mean REELS_HTTP_TOKEN?" in done.stderr
    assert "secret" not in done.stderr
