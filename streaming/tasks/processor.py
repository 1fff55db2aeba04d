"""The interface of processors: one per table, for one or several topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faust.types import TP

    from streaming.kafka.records import Record
    from streaming.tasks.outbox import Outbox
    from tables.state import PartitionState


class ProcessorContext(NamedTuple):
    """The parts of a processor of one partition."""

    partition: int
    state: PartitionState
    outbox: Outbox
    changelog_topic: str
    dead_letter_partitions: int
    """Number of partitions of the dead-letter topic, which may differ from the others'."""


class Processor(Protocol):
    """Processes the records of one partition into one partition of a table."""

    topics: Sequence[str]
    """The topics with the records, highest priority first."""
    changelog_topic: str
    """The topic of the table's changes."""
    state: PartitionState

    async def process(
        self, records: Sequence[Record], topic: str, positions: Mapping[TP, int], /
    ) -> None:
        """Process ``records`` of ``topic``, all or (raising) none.

        ``positions`` are the positions in the partition's topics before these records.

        May await before its first change, not after: a commit may freeze the overlay at any await,
        and the overlay must then correspond to the task's positions.
        """

    def take_over(self, topic: str, values: Sequence[bytes | None], /) -> bool:
        """Fold what this worker's tasks are about to send to ``topic``, at once; waits for nothing.

        Returns:
            Whether it did: else it is sent, and comes with the topic.
        """

    def has_pending(self) -> bool:
        """Whether :meth:`prepare` has something to do, after new records or as time passes."""

    def prepare(self) -> None:
        """Turn accumulated changes into changes of the state and records of the outbox."""

    def reset_to_committed(self) -> None:
        """Return to the committed state; uncommitted changes are void."""
