"""A batch: what one fetch brought of one partition. A topic's batches are one Faust message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import faust

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from faust.types import AppT, EventT, Message

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


class BatchSchema(faust.Schema):
    """Hands a fetch's :class:`Batch` by partition to the agent, with nothing decoded."""

    def __init__(self) -> None:
        """Keys and values are bytes."""
        super().__init__(key_type=bytes, value_type=bytes)

    def compile(self, app: AppT, **_: Any) -> Callable[..., Awaitable[EventT]]:
        """Return the coroutine that makes an event of a message."""
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> EventT:  # noqa: ARG001
            return create_event(None, message.value, message.headers, message)

        return decode
