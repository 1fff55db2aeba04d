"""Who may commit for a partition.

A worker commits all its partitions in one transaction. What keeps out a worker that has lost a
partition without noticing cannot be the group's generation, as in KIP-447: aiokafka commits offsets
with TxnOffsetCommit v0, which has none. It cannot be a producer for each partition alone (KIP-98)
either, since the transaction has one producer. So a partition has a *lock*, a transactional id of
its own, and the group's offsets say in their metadata which worker's transactions they are of:

1. **lock**: the next owner starts a producer of the partition's id: nobody before can claim it now
2. **fence**: it reads which worker the offsets name, and starts a producer of that worker's id,
   too. What that worker had open is aborted, and it will never commit again. Of its own it waits
   for the last transaction's end: the brokers say that it is committed before all partitions know
3. the changelog and the offsets now are what they will stay: they are read
4. **claim**: in a transaction of the lock the offsets are written again, naming the new worker, and
   with them the tables' positions where those are not the changelogs' own already

A worker takes another id whenever it has lost a partition, and claims again what it keeps: whoever
fences the old one then fences nobody. It has fenced that one itself by then: what the old id has
committed is in all partitions before the new one is named.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

from streaming.errors import TransactionFailedError
from streaming.kafka.producer import stop_quietly

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faust.types import TP

    from streaming.kafka.producer import TransactionalProducer
    from tables.layers import Layer

NO_LAYOUTS: Final[Mapping[str, Layer]] = MappingProxyType({})


class Claim(NamedTuple):
    """What a partition is claimed with."""

    name: str
    """It holds for as long as it is the name of :attr:`Claims.producer`."""
    offsets: Mapping[str, int]
    """Of the layout records that were written, by changelog."""


class Fencing:
    """The producer of a worker's transactions, and the partitions that it is claimed for."""

    def __init__(
        self,
        app_id: str,
        connect: Callable[[str], TransactionalProducer],
        committing: asyncio.Lock,
    ) -> None:
        """Have no producer yet.

        Arguments:
            app_id: what transactional ids begin with.
            connect: makes a producer of a transactional id, not started.
            committing: held while the worker has a transaction open.
        """
        self._app_id = app_id
        self._connect = connect
        self._committing = committing
        self._opening = asyncio.Lock()
        #: What the worker's transactions go through, None while there is nothing to commit for.
        self.producer: TransactionalProducer | None = None
        #: Partitions whose offsets name that producer, or may do so.
        self.partitions: set[int] = set()

    def lock_of(self, partition: int) -> TransactionalProducer:
        """Return the producer whose start locks ``partition``."""
        return self._connect(f"{self._app_id}-{partition}")

    @property
    def _worker_prefix(self) -> str:
        return f"{self._app_id}-worker-"

    @property
    def _name_prefix(self) -> str:
        """Part of the names since each claim writes the tables' positions as well."""
        return f"{self._worker_prefix}2-"

    def writes_positions(self, claimant: str) -> bool:
        """Whether ``claimant`` wrote positions into the changelogs of the tables it claimed."""
        return claimant.startswith(self._name_prefix)

    async def _open(self) -> TransactionalProducer:
        async with self._opening:
            if self.producer is None:
                producer = self._connect(f"{self._name_prefix}{uuid4().hex}")
                await _start(producer)
                self.producer = producer
            return self.producer

    async def fence(self, claimants: Mapping[TP, str]) -> None:
        """End the transactions of the workers that offsets name.

        This worker's own go on: the last of them is waited for.

        Arguments:
            claimants: what the offsets' metadata say, whoever has written it.
        """
        former = {name for name in claimants.values() if name.startswith(self._worker_prefix)}
        async with self._committing:
            own = self.producer
            if own is not None and own.transactional_id in former:
                tp = next(tp for tp, name in claimants.items() if name == own.transactional_id)
                try:
                    await own.last_ended(tp)
                    former.remove(own.transactional_id)
                except TransactionFailedError:
                    await self.retire()
        await asyncio.gather(*(self._fence(name) for name in former))

    async def _fence(self, name: str) -> None:
        producer = self._connect(name)
        await _start(producer)
        await stop_quietly(producer.stop())

    async def claim(
        self,
        partition: int,
        lock: TransactionalProducer,
        positions: Mapping[TP, int],
        layouts: Mapping[str, Layer] = NO_LAYOUTS,
    ) -> Claim:
        """Have the offsets of ``partition`` name this worker's producer.

        Arguments:
            partition: its number.
            lock: its producer, started since anybody else's.
            positions: its committed offsets, by topic.
            layouts: the tables' layout records, where their changelogs lack them.

        Raises:
            FencedError: another worker has locked the partition since.
            TransactionFailedError: anything else.
        """
        producer = await self._open()
        name = producer.transactional_id
        self.partitions.add(partition)
        offsets = await lock.run(_claim(lock, partition, positions, layouts, name))
        if self.producer is not producer:
            raise TransactionFailedError(f"{name} was given up while it was claimed for")
        return Claim(name, offsets)

    def holds(self, name: str | None) -> bool:
        """Whether a partition that is claimed for ``name`` can be committed."""
        return self.producer is not None and self.producer.transactional_id == name

    async def retire(self) -> None:
        """Give the producer up, and with it all claims: the next claim makes another."""
        producer, self.producer = self.producer, None
        self.partitions.clear()
        if producer is not None:
            await stop_quietly(producer.stop())


async def _start(producer: TransactionalProducer) -> None:
    try:
        await producer.start()
    except BaseException:
        await stop_quietly(producer.stop())
        raise


async def _claim(
    lock: TransactionalProducer,
    partition: int,
    positions: Mapping[TP, int],
    layouts: Mapping[str, Layer],
    name: str,
) -> dict[str, int]:
    async with lock.transaction() as transaction:
        last_offsets = {
            changelog: await transaction.send_values(changelog, partition, layout)
            for changelog, layout in layouts.items()
        }
        # The broker refuses to verify one partition while it writes another.
        await transaction.delivered()
        transaction.send_offsets(positions, name)
    return {changelog: await offset for changelog, offset in last_offsets.items()}
