"""Fetched records, their batches, and records to send."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Records have timestamps since Kafka 0.10 (2016). An earlier one is invalid: producers without a
#: timestamp write -1 or 0, and some write seconds in place of milliseconds.
FIRST_TIMESTAMP = 1_451_606_400_000


class Record(Protocol):
    """A fetched record."""

    @property
    def offset(self) -> int:
        """The offset in the partition."""

    @property
    def timestamp(self) -> int:
        """The time of production or of the append, in ms since 1970."""

    @property
    def key(self) -> bytes | None:
        """The key."""

    @property
    def value(self) -> bytes | None:
        """The value."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """The headers."""


class Batch(NamedTuple):
    """Records of one partition, and the range of offsets that they cover.

    ``start`` is the consumer's position before the fetch, ``end`` the position after it. Offsets in
    between without a record (transaction markers, aborted or compacted records) belong to the
    batch. There is no gap between two batches exactly if one's end is the other's start.
    """

    start: int
    end: int
    records: Sequence[Record]
    high_watermark: int = 0
    """The end of the partition's log at the time of the fetch; 0 if unknown."""
    size: int = 0
    """Approximate bytes of memory of the records."""


class OutRecord(NamedTuple):
    """One record to send; ``timestamp`` in ms since 1970, None for the time of sending."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int | None = None
    whole: bool = True
    """Whether key and value must stay complete."""
    omitted: int = 0
    """The number of headers that were omitted while it was read."""
