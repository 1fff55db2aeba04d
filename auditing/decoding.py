"""Decoding of many events at a time, with the partition that each belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.event import Rejected, decode
from models.partitioner import murmur2_partitions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.event import Event
    from streaming.kafka.records import Record


def decoded(
    records: Sequence[Record], partitions: int
) -> Iterator[tuple[Record, Event | Rejected, int]]:
    """Yield each record with its event and the partition, of ``partitions``, of its user.

    A record without an event comes with the reason, and with partition -1.
    """
    events = [decode(record.value) for record in records]
    users = [event.user_id for event in events if not isinstance(event, Rejected)]
    homes = iter(murmur2_partitions(users, partitions).tolist())
    for record, event in zip(records, events, strict=True):
        yield record, event, -1 if isinstance(event, Rejected) else next(homes)
