"""Records as they are fetched, in batches, and records to send."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Records have timestamps since Kafka 0.10 (2016). One from before is none: producers write -1 for
#: that, or 0, or seconds where milliseconds belong.
FIRST_TIMESTAMP = 1_451_606_400_000


class Record(Protocol):
    """A record as it was fetched; its timestamp is in milliseconds."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """When it was produced, or appended."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its value."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Its headers."""


class Batch(NamedTuple):
    """Records of one partition, and the stretch of offsets that they stand for.

    ``start`` is the consumer's position before and ``end`` after the fetch: offsets in between
    that hold no record (transaction markers, aborted or compacted records) belong to the batch.
    Two batches follow each other without a gap exactly when one's end is the other's start.
    """

    start: int
    end: int
    records: Sequence[Record]
    high_watermark: int = 0
    """Where the partition's log ended when this was fetched; 0 when that is not known."""
    size: int = 0
    """Bytes of memory that the records take, about."""


class OutRecord(NamedTuple):
    """One record to send; ``timestamp`` in milliseconds, None for now."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int | None = None
    whole: bool = True
    """Whether it is worth nothing without all of its key and its value."""
    omitted: int = 0
    """Headers that were left out when it was read."""
