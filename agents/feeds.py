"""Feeds: the deltas that a users' task sends to tables with other keys in each commit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from models.deltas import BEGINS, STEP, pack_deltas
from streaming.kafka.records import OutRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from models._protocols import DeltaAccumulator
    from models.entity import Entity
    from streaming.tasks.outbox import Outbox
    from tables.state import PartitionState


class Feed:
    """The deltas of one users' partition for one table."""

    def __init__(
        self,
        topic: str,
        step: int,
        entity: Entity[Any],
        accumulator: Callable[[Entity[Any]], DeltaAccumulator],
        table: str | None = None,
    ) -> None:
        """Send to ``topic``; the table's panes have ``step`` ms, ``accumulator`` makes the sums.

        ``table`` is the name of an optional table. The users' layout record says whether that table
        has received all counts; if not, the feed sends the stream time from which on it does.
        """
        self.topic = topic
        self._table = table
        #: The stream time up to which nothing was sent; None: everything was.
        self._unsent_until: int | None = None
        self._step = step
        self._headers = ((STEP, b"%d" % step),)
        self._entity = entity
        self._make = partial(accumulator, entity)
        self.accumulator = self._make()
        self._heartbeat_step = -1
        self._users: PartitionState

    def reset(self, users: PartitionState) -> None:
        """Start from the users' committed state; uncommitted events will be processed again."""
        stream_time = users.stream_time
        self.accumulator = self._make()
        self._heartbeat_step = -1 if stream_time is None else stream_time // self._step
        self._unsent_until = None
        self._users = users
        if self._table is not None and self._table not in users.feeds:
            self._unsent_until = stream_time
            if stream_time is None:
                users.feeds |= {self._table}

    def has_pending(self) -> bool:
        """Whether sums or a first record, with the flag BEGINS, are waiting."""
        return self._unsent_until is not None or bool(self.accumulator)

    def send(self, outbox: Outbox, source: int, stream_time: int, partitions: int) -> None:
        """Send the sums; before the first ones, send the stream time up to which none were sent.

        When stream time enters another step of the table, each of its partitions gets a record:
        events leave a key's windows as time passes, even if the key gets no more events.
        """
        if self._unsent_until is not None:
            value = pack_deltas(source, self._unsent_until, (), self._entity, BEGINS)
            for target in range(partitions):
                outbox.add(self.topic, target, OutRecord(None, value))
            self._unsent_until = None
            # Not before these records: the claim of a partition commits a layout record, too.
            if self._table is not None:
                self._users.feeds |= {self._table}
        accumulator, self.accumulator = self.accumulator, self._make()
        step = stream_time // self._step
        heartbeat, self._heartbeat_step = step != self._heartbeat_step, step
        for target, value in accumulator.records(
            source, stream_time, partitions, heartbeat=heartbeat
        ):
            outbox.add(self.topic, target, OutRecord(None, value, self._headers))
