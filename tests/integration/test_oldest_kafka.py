"""The oldest Kafka that the program supports; `make test-versions` tests those between as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from embedded import EmbeddedKafka
from tests.faults.aftermath import QUICK, check_aftermath
from tests.integration.stream import send_stream, under_load, untidy_stream
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster import Cluster


OLDEST = "3.6.2"


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Iterator[Cluster]:
    with EmbeddedKafka(version=OLDEST) as kafka:
        cluster = make_cluster(bootstrap=kafka.bootstrap, **QUICK)
        cluster.create_topic(cluster.events)
        yield cluster
        cluster.close()


def test_on_the_oldest_kafka_a_killed_worker_loses_and_doubles_nothing(cluster: Cluster) -> None:
    """Another worker takes over its partitions, and hands some of them back."""
    first, second = cluster.worker("a").start(), cluster.worker("b")
    stream = untidy_stream(12_000, seed=60)
    send_stream(cluster, stream[:6000])
    with under_load(cluster, stream[6000:], rate=300) as load:
        second.start()
        before = cluster.committed(cluster.events)
        wait_until(lambda: cluster.committed(cluster.events) != before, "a commit in the middle")
        first.kill()
        assert not load.done(), "the kill has to fall into the load"
    first.start()
    check_aftermath(cluster, first, second)
