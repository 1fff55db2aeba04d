"""Feeds: the sums that a users' task sends to tables of other keys with each commit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from models.deltas import BEGINS, STEP, pack_deltas
from streaming.kafka.records import OutRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from models._protocols import Gathered
    from models.entity import Entity
    from streaming.tasks.outbox import Outbox
    from tables.state import PartitionState


class Feed:
    """What one users' partition sends to one table."""

    def __init__(
        self,
        topic: str,
        step: int,
        entity: Entity[Any],
        gathered: Callable[[Entity[Any]], Gathered],
        table: str | None = None,
    ) -> None:
        """Send to ``topic``; the table's panes are of ``step`` ms, a ``gathered`` adds them up.

        ``table`` is the name of a table that may be left out: the users' layout record says whether
        it was sent all, and it is told since when it is.
        """
        self.topic = topic
        self._table = table
        #: The stream time up to which nothing was sent to it; None: all was.
        self._unsent_until: int | None = None
        self._step = step
        self._headers = ((STEP, b"%d" % step),)
        self._entity = entity
        self._make = partial(gathered, entity)
        self.gathered = self._make()
        self._ticked = -1

    def reset(self, users: PartitionState) -> None:
        """Begin anew where the users' state stands: what was not committed is folded again."""
        stream_time = users.stream_time
        self.gathered = self._make()
        self._ticked = -1 if stream_time is None else stream_time // self._step
        self._unsent_until = None
        if self._table is not None and self._table not in users.feeds:
            self._unsent_until = stream_time
            users.feeds |= {self._table}

    def has_pending(self) -> bool:
        """Whether sums are waiting, or the table is to be told since when it is sent them."""
        return self._unsent_until is not None or bool(self.gathered)

    def send(self, outbox: Outbox, source: int, stream_time: int, partitions: int) -> None:
        """Send what has gathered, and first of all up to when nothing was sent.

        When stream time enters another step of the table, every partition of it is told: a key's
        events leave its windows as time passes, also when nothing more happens to it.
        """
        if self._unsent_until is not None:
            value = pack_deltas(source, self._unsent_until, (), self._entity, BEGINS)
            for target in range(partitions):
                outbox.add(self.topic, target, OutRecord(None, value))
            self._unsent_until = None
        gathered, self.gathered = self.gathered, self._make()
        step = stream_time // self._step
        tick, self._ticked = step != self._ticked, step
        for target, value in gathered.records(source, stream_time, partitions, tick=tick):
            outbox.add(self.topic, target, OutRecord(None, value, self._headers))
