"""Only one worker at a time can commit for a partition, whatever the others assume."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from faust.types import TP

from streaming.commit.fencing import Fencing
from streaming.errors import FencedError, TransactionFailedError
from streaming.kafka.records import OutRecord
from tables.layout import LAYOUT_KEY
from tests.streaming.bench import producer_of
from tests.streaming.fakes import Producer
from tests.worker import wait_until_equal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiokafka.structs import OffsetAndMetadata

    from streaming.kafka.producer import TransactionalProducer
    from tables.layers import Layer
    from tests.cluster import Cluster


async def claimants(cluster: Cluster) -> dict[int, str]:
    """Return the metadata of the group's offset, by partition of the events."""
    return {partition: at.metadata for partition, at in (await offsets(cluster)).items()}


async def offsets(cluster: Cluster) -> dict[int, OffsetAndMetadata]:
    """Return the group's offset of each partition of the events that has one.

    Uses aiokafka: confluent-kafka returns the metadata with the bytes in memory that follow it.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        async with asyncio.timeout(30):
            while True:
                # A new broker creates the topic of group offsets on the first request.
                with suppress(GroupCoordinatorNotAvailableError):
                    found = await admin.list_consumer_group_offsets(cluster.app_id)
                    break
                await asyncio.sleep(0.1)
    finally:
        await admin.close()
    return {tp.partition: at for tp, at in found.items() if tp.topic == cluster.events}


class Worker:
    """The steps of a worker that takes partitions and commits."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._locks: dict[int, TransactionalProducer] = {}
        self._sent = 0
        self.claims = Fencing(cluster.app_id, self._connect, asyncio.Lock())

    def _connect(self, name: str) -> TransactionalProducer:
        return producer_of(self._cluster, name)

    @property
    def producer(self) -> TransactionalProducer:
        assert self.claims.producer is not None
        return self.claims.producer

    async def lock(self, partition: int) -> None:
        if partition in self._locks:
            await self._locks[partition].stop()
        self._locks[partition] = lock = self.claims.lock_of(partition)
        await lock.start()

    async def fence(self, partition: int) -> None:
        found = await claimants(self._cluster)
        tp = TP(self._cluster.events, partition)
        await self.claims.fence({tp: found[partition]} if partition in found else {})

    async def claim(self, partition: int, offset: int = 0) -> str:
        positions = {TP(self._cluster.events, partition): offset}
        return (await self.claims.claim(partition, self._locks[partition], positions)).name

    async def take(self, *partitions: int) -> None:
        for partition in partitions:
            await self.lock(partition)
            await self.fence(partition)
            await self.claim(partition)

    async def commit(self, *values: bytes) -> None:
        """Send value n to partition n, with an offset in partition 0 that counts all values."""
        self._sent += len(values)
        async with self.producer.transaction() as transaction:
            for partition, value in enumerate(values):
                await transaction.send_records(
                    self._cluster.events, partition, [OutRecord(b"key", value)]
                )
            transaction.send_offsets(
                {TP(self._cluster.events, 0): self._sent},
                self.producer.transactional_id,
            )

    async def stop(self) -> None:
        await self.claims.retire()
        for lock in self._locks.values():
            await lock.stop()


@pytest.fixture
async def workers(cluster: Cluster) -> AsyncIterator[list[Worker]]:
    workers = [Worker(cluster), Worker(cluster)]
    yield workers
    for worker in workers:
        await worker.stop()
    # Futures that aiokafka leaves in a fenced producer are reported now, not in a later test.
    gc.collect()


async def values_become(cluster: Cluster, expected: list[bytes]) -> None:
    """Wait for the values: a transaction ends before its markers are written."""

    def values() -> list[bytes]:
        return sorted(each.value or b"" for each in cluster.read(cluster.events))

    await asyncio.to_thread(wait_until_equal, values, expected)


async def test_a_worker_commits_for_all_that_it_has_claimed(
    cluster: Cluster, workers: list[Worker]
) -> None:
    worker, _ = workers
    await worker.take(0, 1)
    await worker.commit(b"a", b"b")
    await values_become(cluster, [b"a", b"b"])
    name = worker.producer.transactional_id
    assert name.startswith(f"{cluster.app_id}-worker-")
    assert await claimants(cluster) == {0: name, 1: name}


async def test_who_has_lost_a_partition_without_noticing_cannot_commit(
    cluster: Cluster, workers: list[Worker]
) -> None:
    former, latter = workers
    await former.take(0)
    await former.commit(b"before")
    await latter.take(0)
    with pytest.raises(FencedError):
        await former.commit(b"void")
    await latter.commit(b"after")
    await values_become(cluster, [b"after", b"before"])


async def test_what_it_has_open_is_aborted_before_the_successor_reads_anything(
    cluster: Cluster, workers: list[Worker]
) -> None:
    former, latter = workers
    await former.take(0)
    await former.commit(b"valid")

    async def be_late() -> None:
        async with former.producer.transaction() as transaction:
            await transaction.send_records(cluster.events, 0, [OutRecord(b"key", b"void")])
            await transaction.delivered()
            assert await asyncio.to_thread(cluster.is_transaction_open)
            await latter.lock(0)
            await latter.fence(0)
            assert not await asyncio.to_thread(cluster.is_transaction_open)

    with pytest.raises(FencedError):
        await be_late()
    await values_become(cluster, [b"valid"])


async def test_who_has_lost_the_lock_cannot_claim(cluster: Cluster, workers: list[Worker]) -> None:
    former, latter = workers
    await former.lock(0)
    await latter.take(0)
    with pytest.raises(FencedError):
        await former.claim(0, offset=7)
    await latter.commit(b"valid")
    await values_become(cluster, [b"valid"])


async def test_whoever_keeps_a_partition_under_another_id_is_not_fenced(
    cluster: Cluster, workers: list[Worker]
) -> None:
    """As in a rebalance: one partition moves to another worker, the other one stays."""
    former, latter = workers
    await former.take(0, 1)
    first = former.producer.transactional_id
    await former.claims.retire()
    assert former.claims.partitions == set()
    await former.claim(1)
    assert former.claims.partitions == {1}
    assert former.producer.transactional_id != first
    await latter.take(0)
    await former.commit(b"former")
    await latter.commit(b"latter")
    await values_become(cluster, [b"former", b"latter"])


async def test_a_worker_that_opens_a_partition_again_does_not_fence_itself(
    cluster: Cluster, workers: list[Worker]
) -> None:
    worker, _ = workers
    await worker.take(0, 1)
    await worker.take(1)
    await worker.commit(b"a", b"b")
    await values_become(cluster, [b"a", b"b"])


def named(*names: str) -> dict[TP, str]:
    """Return ``names`` as the metadata of the partitions' offsets."""
    return {TP("events", number): name for number, name in enumerate(names)}


async def test_its_own_last_transaction_is_in_all_partitions_then(
    cluster: Cluster, workers: list[Worker]
) -> None:
    """The brokers commit the transaction first and write the markers a moment later."""
    worker, _ = workers
    await worker.take(0, 1)
    name = worker.producer.transactional_id
    for count in range(1, 30):
        await worker.commit(*[b"value"] * 2)
        await worker.claims.fence({TP(cluster.events, 1): name})
        assert not await asyncio.to_thread(cluster.is_transaction_open)
        assert len(await asyncio.to_thread(cluster.read, cluster.events)) == 2 * count
        assert (await offsets(cluster))[0].offset == 2 * count
    assert worker.claims.holds(name)


async def test_what_an_id_has_committed_is_in_all_partitions_before_another_is_named(
    cluster: Cluster, workers: list[Worker]
) -> None:
    worker, _ = workers
    await worker.take(0, 1)
    for count in range(1, 15):
        name = worker.producer.transactional_id
        await worker.commit(*[b"value"] * 2)
        await worker.claims.retire()
        await worker.claims.fence({TP(cluster.events, 1): name})
        assert not await asyncio.to_thread(cluster.is_transaction_open)
        assert (await offsets(cluster))[0].offset == 2 * count
        assert await worker.claim(1) != name


def lock_named(name: str) -> Any:
    """Return a fake of the producer that locks a partition."""
    return Producer(name)


class TestWithoutKafka:
    @pytest.fixture
    def made(self) -> list[Producer]:
        return []

    @pytest.fixture
    def claims(self, made: list[Producer]) -> Fencing:
        def connect(name: str) -> TransactionalProducer:
            made.append(Producer(name))
            return cast("TransactionalProducer", made[-1])

        return Fencing("reels", connect, asyncio.Lock())

    async def test_what_is_no_workers_name_fences_nobody(
        self, claims: Fencing, made: list[Producer]
    ) -> None:
        """A tool or another release may have committed the offsets."""
        await claims.fence(named("", "set by hand", "reels-0", "other-worker-1"))
        assert made == []

    async def test_a_worker_is_fenced_once_for_all_its_partitions(
        self, claims: Fencing, made: list[Producer]
    ) -> None:
        await claims.fence(named("reels-worker-1", "reels-worker-1", "reels-worker-2"))
        names = sorted(each.transactional_id for each in made)
        assert names == ["reels-worker-1", "reels-worker-2"]
        assert all(each.stopped for each in made)

    async def test_a_last_transaction_that_does_not_end_is_fenced_as_well(
        self, claims: Fencing, made: list[Producer]
    ) -> None:
        name = (await claims.claim(0, lock_named("reels-0"), {})).name
        made[0].fails_at = "last ended"
        await claims.fence(named(name))
        assert made[0].stopped
        assert not claims.holds(name)
        assert [each.transactional_id for each in made] == [name, name]

    async def test_nothing_is_waited_for_beside_a_commit(
        self, claims: Fencing, made: list[Producer]
    ) -> None:
        name = (await claims.claim(0, lock_named("reels-0"), {})).name
        async with claims._committing:
            fencing = asyncio.create_task(claims.fence(named(name)))
            await asyncio.sleep(0.01)
            assert not fencing.done()
        await fencing
        assert claims.holds(name)

    async def test_a_claim_whose_producer_was_given_up_meanwhile_does_not_hold(
        self, claims: Fencing, made: list[Producer]
    ) -> None:
        lock = lock_named("reels-0")
        lock.may_commit.clear()
        claiming = asyncio.create_task(claims.claim(0, lock, {}))
        await asyncio.sleep(0.01)
        await claims.retire()
        lock.may_commit.set()
        with pytest.raises(TransactionFailedError):
            await claiming
        assert not claims.holds(made[0].transactional_id)

    async def test_claims_at_the_same_time_share_one_producer(
        self, claims: Fencing, made: list[Producer]
    ) -> None:
        made_claims = await asyncio.gather(
            *(claims.claim(number, lock_named(f"reels-{number}"), {}) for number in range(8))
        )
        names = [claim.name for claim in made_claims]
        assert set(names) == {made[0].transactional_id}
        assert claims.partitions == set(range(8))
        assert claims.holds(names[0])

    async def test_a_producer_that_cannot_start_is_stopped_and_another_made(
        self, claims: Fencing, made: list[Producer]
    ) -> None:
        lock = lock_named("reels-0")

        def connect(name: str) -> TransactionalProducer:
            made.append(Producer(name))
            made[-1].fails_at = "start" if len(made) == 1 else None
            return cast("TransactionalProducer", made[-1])

        claims._connect = connect
        with pytest.raises(TransactionFailedError):
            await claims.claim(0, lock, {})
        assert made[0].stopped
        assert (await claims.claim(0, lock, {})).name == made[1].transactional_id


async def test_a_claim_writes_the_layout_records_that_changelogs_lack(
    cluster: Cluster, workers: list[Worker]
) -> None:
    worker, _ = workers
    changelog = cluster.user_changelog
    cluster.create_topic(changelog)
    await worker.lock(1)
    layouts: dict[str, Layer] = {changelog: {LAYOUT_KEY: b"layout"}}
    positions = {TP(cluster.events, 1): 0}
    claim = await worker.claims.claim(1, worker._locks[1], positions, layouts)
    (record,) = cluster.read(changelog)
    assert (record.partition, record.key, record.value) == (1, LAYOUT_KEY, b"layout")
    assert claim.offsets == {changelog: record.offset}
    assert worker.claims.writes_positions(claim.name)
    assert not worker.claims.writes_positions(f"{cluster.app_id}-worker-{'0' * 32}")
