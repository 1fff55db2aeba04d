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
        """Process ``records`` of ``topic``, all or (after an error) none.

        ``positions`` are the positions in the partition's topics before these records.

        May await before its first change, not after: a commit may freeze the overlay at any await,
        and the overlay must then correspond to the task's positions.
        """

    def take_over(self, topic: str, values: Sequence[bytes | None], /) -> bool:
        """Process values that this worker's tasks would send to ``topic``, without awaiting.

        Returns:
            Whether it did; if not, they are sent through the topic.
        """

    def has_pending(self) -> bool:
        """Whether :meth:`prepare` has work, after new records or because time passed."""

    def prepare(self) -> None:
        """Turn accumulated changes into changes of the state and records of the outbox."""

    def reset_to_committed(self) -> None:
        """Return to the committed state; uncommitted changes are void."""
