"""The brokers have forgotten the producer ids of a worker that had nothing to commit for long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from embedded import EmbeddedKafka
from tests.integration.stream import START, event
from tests.oracle_events import partition_of
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster import Cluster
    from tests.worker import Worker


pytestmark = pytest.mark.faults

#: Seconds after which this broker forgets ids; the defaults are a day and a week.
FORGOTTEN_AFTER = 6


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Iterator[Cluster]:
    properties = {
        "transactional.id.expiration.ms": str(FORGOTTEN_AFTER * 1000),
        "transaction.remove.expired.transaction.cleanup.interval.ms": "200",
        "producer.id.expiration.ms": str(FORGOTTEN_AFTER * 1000),
        "producer.id.expiration.check.interval.ms": "200",
    }
    with EmbeddedKafka(properties=properties) as kafka:
        cluster = make_cluster(bootstrap=kafka.bootstrap)
        cluster.create_topic(cluster.events)
        yield cluster


def errors(worker: Worker) -> int:
    """Return the number of errors that a worker has logged."""
    return sum("[ERROR]" in line for line in worker.output().splitlines())


@pytest.mark.slow
def test_a_worker_whose_ids_expired_takes_others_and_goes_on(cluster: Cluster) -> None:
    """It logs one line, and counts every event once."""
    worker = cluster.worker().start()

    def complaints() -> list[str]:
        lines = worker.output().splitlines()
        return [line for line in lines if "the brokers removed this id" in line]

    def count(number: int) -> None:
        with cluster.producer() as producer:
            for user in range(20):
                place = partition_of(user, cluster.partitions)
                producer.produce(cluster.events, event(user, 1, START, number), b"", place)
        paths = [f"/users/{user}" for user in range(20)]
        wait_until(
            lambda: all(
                status == 200 and user["total_videos_watched"] == number
                for status, user in worker.get_all(paths)
            ),
            f"every user has {number}",
        )

    count(1)
    cluster.wait_until_applied()
    before, number = errors(worker), 1
    # The broker alone decides when it checks for expired ids.
    while not complaints() and number < 10:
        time.sleep(FORGOTTEN_AFTER + 1)
        number += 1
        count(number)
    assert complaints()
    assert errors(worker) - len(complaints()) == before
    assert worker.terminate() == 0
    assert "Traceback" not in worker.output()
    assert "never retrieved" not in worker.output()
