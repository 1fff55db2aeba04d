"""Which workers leave the group, which stay, and which wait for others."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.integration.stream import START, event
from tests.oracle_events import partition_of
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster
    from tests.worker import Worker


#: Far longer than a test may take, so that no session ends during it.
SESSION = 120


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_cluster(BROKER_SESSION_TIMEOUT=SESSION)
    cluster.create_topic(cluster.events)
    return cluster


def joins(worker: Worker) -> int:
    return worker.output().count("Joined group")


def send_one(cluster: Cluster, user_id: int, number: object) -> None:
    place = partition_of(user_id, cluster.partitions)
    with cluster.producer() as producer:
        producer.produce(cluster.events, event(user_id, 1, START, number), b"", place)


def test_a_killed_worker_comes_back_without_waiting_for_its_session_to_end(
    cluster: Cluster,
) -> None:
    worker = cluster.worker().start()
    for number in range(2):
        worker.kill()
        worker.launch().wait_ready(SESSION / 4)
        send_one(cluster, 1, number)
        cluster.wait_until_applied()
        assert worker.get("/users/1")["total_videos_watched"] == number + 1
    assert "has left the group" in worker.output()


def test_workers_that_stop_during_a_rebalance_leave_the_group_in_order(cluster: Cluster) -> None:
    """Each departure is a rebalance of those that are stopping as well."""
    workers = [cluster.worker(name).start() for name in "abc"]
    for worker in workers:
        os.kill(worker.pid, signal.SIGTERM)
    assert [worker.wait_exit(20) for worker in workers] == [0, 0, 0]
    cluster.worker("d").start()


def test_a_worker_that_starts_leaves_the_others_in_the_group(cluster: Cluster) -> None:
    first, second = cluster.worker("a").start(), cluster.worker("b").start()
    second.kill()
    second.launch().wait_ready(SESSION / 4)
    first.wait_ready(SESSION / 4)
    assert first.output().count("local member_id was not recognized") == 0
    for user_id in range(20):
        send_one(cluster, user_id, user_id)
    cluster.wait_until_applied()
    for worker in (first, second):
        assert {status for status, _ in worker.get_all([f"/users/{u}" for u in range(20)])} == {200}


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_named_worker_that_restarts_within_its_session_moves_nothing(
    cluster: Cluster, how: str
) -> None:
    first, second = (
        cluster.worker(name, CONSUMER_GROUP_INSTANCE_ID=f"worker-{name}").start() for name in "ab"
    )
    wait_until(lambda: first.status("/readyz") == 200, "the first is ready again")
    before = joins(first)
    if how == "SIGTERM":
        assert second.terminate() == 0
    else:
        second.kill()
    second.launch().wait_ready(SESSION / 4)
    for user_id in range(20):
        send_one(cluster, user_id, user_id)
    cluster.wait_until_applied()
    assert {status for status, _ in first.get_all([f"/users/{u}" for u in range(20)])} == {200}
    assert joins(first) == before


def test_two_workers_with_one_address_say_so_instead_of_being_ready(cluster: Cluster) -> None:
    """Requests for one of them reach the other, which can never answer them."""
    first, second = cluster.worker("a"), cluster.worker("b")
    address = f"http://127.0.0.1:{first.port}"
    for worker in (first, second):
        worker.launch(NODE_CANONICAL_URL=address)

    def reason(worker: Worker, path: str) -> str:
        status, answer = worker.get_all([path])[0]
        message: str = answer["error"]["message"] if status == 503 else ""
        return message

    said = f"give the same address, {address}"

    def is_healthy(worker: Worker) -> bool:
        return worker.status("/healthz") == 200

    def says_so(worker: Worker) -> bool:
        return said in reason(worker, "/readyz")

    for worker in (first, second):
        wait_until(partial(is_healthy, worker), "it answers")
        wait_until(partial(says_so, worker), "it says so")
        assert "NODE_CANONICAL_URL" in reason(worker, "/readyz")
    for user_id in range(20):
        send_one(cluster, user_id, user_id)
    cluster.wait_until_applied()
    answers = [worker.get_all([f"/users/{u}" for u in range(20)]) for worker in (first, second)]
    for here, there in zip(*answers, strict=True):
        assert sorted((here[0], there[0])) == [200, 503]
        assert "NODE_CANONICAL_URL" in str((here, there))
    done = cluster.command("status", "--url", address, COLUMNS="400")
    assert done.returncode == 1
    assert said in done.stdout
    for worker in (first, second):
        assert worker.output().count(said) == 1
        assert worker.terminate() == 0
