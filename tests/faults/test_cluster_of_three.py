"""Three brokers, three replicas, a minimum of two: the loss of a broker costs only some time."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, Producer

from embedded.distribution import KAFKA_VERSION
from tests.faults.aftermath import QUICK, check_aftermath
from tests.faults.small_disk import MIB, small_disk
from tests.faults.three_brokers import ThreeBrokers
from tests.integration.stream import under_load, untidy_stream
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.worker import Worker


pytestmark = pytest.mark.faults

#: Seconds until commits continue while a broker is silent: each request to it fails after 10 s.
SILENCE = 90.0

#: Feature levels of Kafka 4.3 for a cluster, as `kafka-storage version-mapping` lists them.
FEATURES_OF_4_3 = {
    "metadata.version": 30,
    "kraft.version": 1,
    "transaction.version": 2,
    "group.version": 1,
    "eligible.leader.replicas.version": 1,
    "share.version": 1,
    "streams.version": 1,
}


@pytest.fixture(scope="module")
def three() -> Iterator[ThreeBrokers]:
    with ThreeBrokers() as brokers:
        yield brokers


@pytest.fixture
def make_program(make_cluster: Callable[..., Cluster]) -> Callable[[ThreeBrokers], Cluster]:
    """Return a factory of programs whose topics have three replicas."""

    def make(three: ThreeBrokers) -> Cluster:
        cluster = make_cluster(bootstrap=three.bootstrap, **QUICK, TOPIC_REPLICATION_FACTOR=3)
        cluster.create_topic(cluster.events)
        return cluster

    return make


@pytest.fixture
def cluster(
    make_program: Callable[[ThreeBrokers], Cluster], three: ThreeBrokers
) -> Iterator[Cluster]:
    cluster = make_program(three)
    yield cluster
    cluster.close()
    three.heal()


def committed(cluster: Cluster) -> int:
    return sum(cluster.committed(cluster.events).values())


def wait_for_commits(cluster: Cluster, timeout: float = 60.0) -> None:
    """Wait until commits succeed again."""
    before = committed(cluster)
    wait_until(lambda: committed(cluster) > before, "commits go on", timeout)


@contextmanager
def under_lasting_load(cluster: Cluster, seed: int) -> Iterator[None]:
    """Send 300 untidy events per second for the duration of the block, 5 minutes at most."""
    enough = threading.Event()
    stream = takewhile(lambda _: not enough.is_set(), untidy_stream(90_000, seed))
    with under_load(cluster, stream, rate=300) as load:
        try:
            yield
            assert not load.done(), "all of the block has to fall into the load"
        finally:
            enough.set()


def test_a_broker_of_three_killed_under_load_changes_nothing(
    cluster: Cluster, three: ThreeBrokers
) -> None:
    worker = cluster.worker().start()
    with under_lasting_load(cluster, seed=50):
        wait_for_commits(cluster)
        lost = three.leaders(cluster.events)[0]
        three.kill(lost)
        wait_for_commits(cluster)
    three.start([lost])
    check_aftermath(cluster, worker)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_each_broker_of_three_ended_in_turn_under_load_changes_nothing(
    cluster: Cluster, three: ThreeBrokers, end: str
) -> None:
    """Commits continue without it; the next broker stops once this one has caught up."""
    worker = cluster.worker().start()
    with under_lasting_load(cluster, seed=51):
        for number in three.brokers:
            wait_for_commits(cluster)
            getattr(three, end)(number)
            wait_for_commits(cluster)
            three.heal()
    check_aftermath(cluster, worker)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", ["killed", "asleep"])
def test_a_lost_controller_of_three_is_replaced_under_load(
    cluster: Cluster, three: ThreeBrokers, way: str
) -> None:
    """It sleeps longer than its session, and wakes believing that it is still the controller."""
    first, second = cluster.worker("a").start(), cluster.worker("b")
    with under_lasting_load(cluster, seed=52):
        wait_for_commits(cluster)
        lost = three.controller()
        if way == "killed":
            three.kill(lost)
            replace_controller(cluster, three, lost, second)
            three.start([lost])
        else:
            with three.asleep(lost):
                replace_controller(cluster, three, lost, second)
        wait_for_commits(cluster)
    check_aftermath(cluster, first, second)


def replace_controller(cluster: Cluster, three: ThreeBrokers, lost: int, joining: Worker) -> None:
    """Wait for another controller, under which commits continue and a worker can join."""
    wait_until(lambda: three.controller() not in {lost, -1}, "another controller")
    wait_for_commits(cluster, SILENCE)
    joining.launch()
    joining.wait_ready(SILENCE)


@pytest.mark.slow
def test_leaders_that_move_again_and_again_under_load_change_nothing(
    cluster: Cluster, three: ThreeBrokers
) -> None:
    """Leaders of the program's topics, of the group's offsets and of transactions move together."""
    worker = cluster.worker().start()
    with under_lasting_load(cluster, seed=53):
        for _ in range(6):
            wait_for_commits(cluster)
            three.move_leaders()
        wait_for_commits(cluster)
    check_aftermath(cluster, worker)


@pytest.mark.slow
def test_a_broker_of_three_that_is_slow_slows_the_stream_and_no_more(
    cluster: Cluster, three: ThreeBrokers
) -> None:
    """It gets a tenth of its CPU time, and stays in sync, so each write waits for it."""
    worker = cluster.worker().start()
    with under_lasting_load(cluster, seed=54):
        slow = three.leaders(cluster.events)[0]
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with three.asleep(slow):
                time.sleep(0.9)
            time.sleep(0.1)
        wait_for_commits(cluster)
    check_aftermath(cluster, worker)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_broker_of_three_that_slept_through_its_session_changes_nothing(
    cluster: Cluster, three: ThreeBrokers
) -> None:
    """It wakes believing that it still leads its partitions."""
    worker = cluster.worker().start()
    with under_lasting_load(cluster, seed=55):
        wait_for_commits(cluster)
        sleeper = three.leaders(cluster.events)[0]
        with three.asleep(sleeper):
            wait_until_led_by_others(three, cluster, sleeper)
            wait_for_commits(cluster, SILENCE)
        wait_for_commits(cluster)
    check_aftermath(cluster, worker)


def wait_until_led_by_others(three: ThreeBrokers, cluster: Cluster, lost: int) -> None:
    """Wait until other brokers lead the partitions that a broker has led."""
    wait_until(
        lambda: not {lost, -1} & set(three.leaders(cluster.events).values()), "other leaders"
    )


@pytest.mark.slow
@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_input_stops_while_two_brokers_of_three_are_away_and_goes_on(
    cluster: Cluster, three: ThreeBrokers, end: str
) -> None:
    """The remaining broker accepts no record that it alone would store."""
    worker = cluster.worker().start()
    with under_lasting_load(cluster, seed=56):
        wait_for_commits(cluster)
        left, *away = three.brokers
        for number in away:
            getattr(three, end)(number)
        assert refusals(three.brokers[left].bootstrap, cluster.events) <= {
            KafkaError.NOT_ENOUGH_REPLICAS,
            KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            KafkaError.REQUEST_TIMED_OUT,
            KafkaError._MSG_TIMED_OUT,
        }
        assert worker.status("/healthz") == 200
        three.heal()
        wait_for_commits(cluster)
    check_aftermath(cluster, worker)


def refusals(bootstrap: str, topic: str) -> set[int]:
    """Return the errors of one record sent to each partition; all must be refused."""
    errors: list[int] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "message.timeout.ms": 5000,
            "request.timeout.ms": 3000,
            "retries": 0,
            "on_delivery": lambda error, _: errors.append(error and error.code()),
        }
    )
    for partition in range(4):
        producer.produce(topic, b"refused", partition=partition)
    assert producer.flush(30) == 0
    return set(errors)


@pytest.mark.slow
def test_a_full_disk_of_one_broker_of_three_changes_nothing(
    make_program: Callable[[ThreeBrokers], Cluster], tmp_path: Path
) -> None:
    """Kafka stops when it cannot write; the other brokers continue, and it returns."""
    with (
        small_disk(tmp_path / "kafka", 700 * MIB) as disk,
        ThreeBrokers(data_dirs={1: disk.path / "data"}) as three,
    ):
        cluster = make_program(three)
        worker = cluster.worker().start()
        with under_lasting_load(cluster, seed=57):
            wait_for_commits(cluster)
            disk.fill()
            assert three.brokers[1].wait(60), "the broker ends"
            wait_for_commits(cluster)
            disk.free()
            three.heal()
        check_aftermath(cluster, worker)
        cluster.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_rolling_upgrade_of_three_brokers_under_load_changes_nothing(
    make_program: Callable[[ThreeBrokers], Cluster],
) -> None:
    """From Kafka 3.9.1 to the newest release, then to the features of that release."""
    with ThreeBrokers("3.9.1") as three:
        cluster = make_program(three)
        first, second = cluster.worker("a").start(), cluster.worker("b").start()
        with under_lasting_load(cluster, seed=58):
            for number in three.brokers:
                wait_for_commits(cluster)
                three.upgrade(number, KAFKA_VERSION)
            wait_for_commits(cluster)
            three.finalize(FEATURES_OF_4_3)
            wait_for_commits(cluster)
        check_aftermath(cluster, first, second)
        cluster.close()
