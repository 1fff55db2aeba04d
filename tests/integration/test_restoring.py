"""A restore reads the committed changelog, from any starting point, on a real broker."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from faust.types import TP

from monitoring import metrics
from streaming.restore.restore import restore
from streaming.restore.standby import StandbyConsumer
from tests.worker import TIMEOUT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tables.state import PartitionState
    from tests.cluster import Cluster


RECORDS = 30_000


@pytest.fixture(scope="module")
def cluster(make_shared_cluster: Callable[..., Cluster]) -> Cluster:
    """A changelog of many transactions, every fifth of them aborted, with values and deletions."""
    cluster = make_shared_cluster(TOPIC_PARTITIONS=2)
    cluster.create_topic(cluster.user_changelog, cleanup_policy="compact")
    producer = Producer(
        {"bootstrap.servers": cluster.bootstrap, "transactional.id": f"t-{uuid4().hex}"}
    )
    producer.init_transactions(TIMEOUT)
    rng = random.Random(5)
    for number in range(30):
        producer.begin_transaction()
        for _ in range(RECORDS // 30):
            key, place = b"%d" % rng.randrange(5000), rng.randrange(2)
            value = None if rng.random() < 0.2 else rng.randbytes(rng.randrange(1, 2000))
            producer.produce(cluster.user_changelog, value, key, place)
            producer.poll(0)
        if number % 5 == 4:
            producer.flush(TIMEOUT)
            producer.abort_transaction(TIMEOUT)
        else:
            producer.commit_transaction(TIMEOUT)
    return cluster


def settings(cluster: Cluster) -> dict[str, Any]:
    return {"bootstrap_servers": [cluster.bootstrap]}


def changelog(cluster: Cluster, partition: int) -> TP:
    return TP(cluster.user_changelog, partition)


def replayed(cluster: Cluster, partition: int, before: int | None = None) -> dict[bytes, bytes]:
    values: dict[bytes, bytes | None] = {}
    for record in cluster.read(cluster.user_changelog):
        if record.partition == partition and (before is None or record.offset < before):
            assert record.key is not None
            values[record.key] = record.value
    return {key: value for key, value in values.items() if value is not None}


async def test_what_is_restored_is_what_another_client_reads(
    cluster: Cluster, make_state: Callable[..., PartitionState]
) -> None:
    states = [make_state(f"table-{number}") for number in range(2)]
    read = metrics.recovery_records._value.get()
    count = await restore(
        settings(cluster), {changelog(cluster, n): state for n, state in enumerate(states)}
    )
    records = cluster.read(cluster.user_changelog)
    assert count == len(records) == 4 * RECORDS // 5
    assert metrics.recovery_records._value.get() - read == count
    assert metrics.recovery_remaining.labels("0")._value.get() == 0
    for number, state in enumerate(states):
        assert dict(state.store.items()) == replayed(cluster, number)
        assert state.offset == max(r.offset for r in records if r.partition == number)


async def test_a_restore_goes_on_in_the_middle_of_a_batch_where_the_disk_stands(
    cluster: Cluster, make_state: Callable[..., PartitionState]
) -> None:
    records = [r for r in cluster.read(cluster.user_changelog) if r.partition == 0]
    at = records[len(records) // 3].offset
    state = make_state("half")
    await state.apply(dict(replayed(cluster, 0, before=at + 1).items()), at)
    count = await restore(settings(cluster), {changelog(cluster, 0): state})
    assert count == sum(record.offset > at for record in records)
    assert dict(state.store.items()) == replayed(cluster, 0)


async def test_a_restore_that_is_cut_off_leaves_the_changelog_up_to_one_offset(
    cluster: Cluster, make_state: Callable[..., PartitionState]
) -> None:
    """The next restore finds a consistent state, and continues from there."""
    state = make_state("cut")
    restoring = asyncio.create_task(restore(settings(cluster), {changelog(cluster, 0): state}))
    async with asyncio.timeout(TIMEOUT):
        while state.offset is None:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)
    restoring.cancel()
    await asyncio.gather(restoring, return_exceptions=True)
    await state.idle()
    assert dict(state.store.items()) == replayed(cluster, 0, before=state.offset + 1)
    await restore(settings(cluster), {changelog(cluster, 0): state})
    assert dict(state.store.items()) == replayed(cluster, 0)


async def test_a_follower_catches_up_and_takes_what_comes_later(
    cluster: Cluster, make_state: Callable[..., PartitionState]
) -> None:
    state = make_state("standby")
    follower = StandbyConsumer(settings(cluster), lambda exc: pytest.fail(str(exc)))
    await follower.follow({changelog(cluster, 1): state})
    try:
        async with asyncio.timeout(TIMEOUT):
            await follower.wait_caught_up()
        assert dict(state.store.items()) == replayed(cluster, 1)
        with cluster.producer() as producer:
            producer.produce(cluster.user_changelog, b"later", b"1", 1)
        await asyncio.to_thread(wait_until, lambda: state.store.get(b"1") == b"later", "it comes")
    finally:
        await follower.stop()
