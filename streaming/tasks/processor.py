"""What a task needs of those who fold: one processor per table, for one topic or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faust.types import TP

    from streaming.kafka.records import Record
    from streaming.tasks.outbox import Outbox
    from tables.state import PartitionState


class ProcessorContext(NamedTuple):
    """What a table's processor of one partition is made of."""

    partition: int
    state: PartitionState
    outbox: Outbox
    changelog_topic: str
    dead_letter_partitions: int
    """Partitions of the dead-letter topic, which need not be as many as the others'."""


class Processor(Protocol):
    """Folds the records of one partition of its topics into one partition of a table."""

    topics: Sequence[str]
    """The topics whose records are folded, the one that goes first when several wait first."""
    changelog_topic: str
    """Where the table's changes are sent."""
    state: PartitionState

    async def process(
        self, records: Sequence[Record], topic: str, positions: Mapping[TP, int], /
    ) -> None:
        """Fold ``records`` of ``topic``, all of them or (raising) none.

        ``positions`` are where the partition's topics are folded up to before this.

        May wait before it changes anything, not after: a commit may freeze the overlay whenever
        this waits, and must find it in step with the task's position.
        """

    def take_over(self, topic: str, values: Sequence[bytes | None], /) -> bool:
        """Fold what this worker's tasks are about to send to ``topic``, at once; waits for nothing.

        Returns:
            Whether it did: else it is sent, and comes with the topic.
        """

    def has_pending(self) -> bool:
        """Whether :meth:`prepare` has something to do, for new records or as time passes."""

    def prepare(self) -> None:
        """Turn what has gathered into changes of the state and records of the outbox."""

    def reset_to_committed(self) -> None:
        """Begin anew from the committed state: what was folded since is void."""
