"""The right to commit a partition.

A worker commits all its partitions in one transaction. A worker that lost a partition without
noticing must be fenced. The group's generation cannot do this as in KIP-447, because aiokafka
commits offsets with TxnOffsetCommit v0, which has no generation. A producer per partition (KIP-98)
cannot do it alone either, because a transaction has one producer. So each partition has a *lock*,
a transactional id of its own, and the metadata of the group's offsets names the worker whose
transactions wrote them:

1. **lock**: the next owner starts a producer with the lock's id, after which no earlier owner can
   claim the partition
2. **fence**: it reads which worker the offsets name, and starts a producer with that worker's id.
   The open transaction of that worker is aborted, and it never commits again. If the name is its
   own, it waits for the end of its last transaction, which the brokers report before its markers
   have reached all partitions
3. **restore**: it reads the changelogs, which are final now, as the group's offsets are
4. **positions**: it compares the tables' positions with the group's offsets
5. **claim**: a transaction of the lock writes the offsets again, with the new worker's name, and
   the tables' positions if the changelogs lack them

These are the steps of docs/concepts.md, "Opening a task".

A worker that lost a partition takes another id and claims its remaining partitions again, so that
fencing the old id stops nobody. Before that it fences the old id itself: commits of the old id are
complete in all partitions before the new id is named.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

from streaming.errors import TransactionFailedError
from streaming.kafka.stopping import stop_quietly

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faust.types import TP

    from streaming.kafka.producer import TransactionalProducer
    from tables.layers import Layer

NO_LAYOUTS: Final[Mapping[str, Layer]] = MappingProxyType({})


class Claim(NamedTuple):
    """A partition's claim."""

    name: str
    """The claim is valid while this is the id of :attr:`Fencing.producer`."""
    offsets: Mapping[str, int]
    """Offsets of the layout records that the claim wrote, by changelog."""


class Fencing:
    """The producer of a worker's transactions, and the partitions claimed for it."""

    def __init__(
        self,
        app_id: str,
        connect: Callable[[str], TransactionalProducer],
        committing: asyncio.Lock,
    ) -> None:
        """Have no producer yet.

        Arguments:
            app_id: the prefix of transactional ids.
            connect: creates a producer with a transactional id, not started.
            committing: held while the worker has an open transaction.
        """
        self._app_id = app_id
        self._connect = connect
        self._committing = committing
        self._opening = asyncio.Lock()
        #: The producer of the worker's transactions, None while nothing is claimed.
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
        """The prefix of names whose claims write the tables' positions."""
        return f"{self._worker_prefix}2-"

    def writes_positions(self, claimant: str) -> bool:
        """Whether ``claimant`` writes positions to the changelogs of its tables."""
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

        This worker's own id stays valid; this waits for the end of its last transaction.

        Arguments:
            claimants: the metadata of offsets, by any writer.
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
        """Write the offsets of ``partition`` with the name of this worker's producer.

        Arguments:
            partition: the partition number.
            lock: the started producer of the partition's lock.
            positions: the committed offsets, by topic.
            layouts: layout records that the tables' changelogs lack.

        Raises:
            FencedError: another worker locked the partition afterwards.
            TransactionFailedError: any other failure.
        """
        producer = await self._open()
        name = producer.transactional_id
        self.partitions.add(partition)
        offsets = await lock.run(_claim(lock, partition, positions, layouts, name))
        if self.producer is not producer:
            raise TransactionFailedError(f"the producer {name} was dropped during the claim")
        return Claim(name, offsets)

    def holds(self, name: str | None) -> bool:
        """Whether a partition claimed for ``name`` can be committed."""
        return self.producer is not None and self.producer.transactional_id == name

    async def retire(self) -> None:
        """Drop the producer and all claims; the next claim creates another."""
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
