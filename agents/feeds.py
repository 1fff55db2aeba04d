"""Feeds: the sums that a users' task sends to tables of other keys with each commit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from models.deltas import BEGINS, pack_deltas
from streaming.kafka.records import OutRecord

if TYPE_CHECKING:
    from typing import Any

    from models._protocols import Gathered
    from models.entity import Entity
    from streaming.tasks.outbox import Outbox


class Feed:
    """What one users' partition sends to one table."""

    def __init__(
        self, topic: str, step: int, entity: Entity[Any], gathered: type[Gathered]
    ) -> None:
        """Send to ``topic``; the table's panes are of ``step`` ms, a ``gathered`` adds them up."""
        self.topic = topic
        self._step = step
        self._entity = entity
        self._make = partial(gathered, entity)
        self.gathered = self._make()
        self._ticked = -1

    def reset(self, stream_time: int | None) -> None:
        """Begin anew at a stream time: what was not committed is folded again."""
        self.gathered = self._make()
        self._ticked = -1 if stream_time is None else stream_time // self._step

    def begin(self, outbox: Outbox, source: int, stream_time: int, partitions: int) -> None:
        """Say to every partition of the table that nothing was sent up to ``stream_time``."""
        value = pack_deltas(source, stream_time, (), self._entity, BEGINS)
        for target in range(partitions):
            outbox.add(self.topic, target, OutRecord(None, value))

    def send(self, outbox: Outbox, source: int, stream_time: int, partitions: int) -> None:
        """Send what has gathered.

        When stream time enters another step of the table, every partition of it is told: a key's
        events leave its windows as time passes, also when nothing more happens to it.
        """
        gathered, self.gathered = self.gathered, self._make()
        step = stream_time // self._step
        tick, self._ticked = step != self._ticked, step
        for target, value in gathered.records(source, stream_time, partitions, tick=tick):
            outbox.add(self.topic, target, OutRecord(None, value))
