"""Tasks to try, and a Kafka to try transactions on."""

from __future__ import annotations

import pytest

from tests.streaming.bench import Bench


@pytest.fixture
def cluster(make_cluster):
    cluster = make_cluster(TOPIC_PARTITIONS=2)
    cluster.create_topic(cluster.events)
    return cluster


@pytest.fixture
async def bench(make_state):
    bench = Bench(make_state)
    await bench.add()
    yield bench
    await bench.close()
