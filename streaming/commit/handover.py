"""What tasks of one commit send to each other, folded at once instead of sent.

A users' partition sends sums to the tables of videos and creators. Where the partition of such a
table is the same worker's, its rows go into the transaction that the users' rows go into: the
tables say all, and nothing is left for a topic to carry. So the sums count in answers from the
commit's beginning on, not one commit and one fetch later, and cost no records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from faust.types import TP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.tasks.outbox import Outbox


class Exchanging(Protocol):
    """A task, as far as it sends something and takes something over."""

    @property
    def partition(self) -> int:
        """Its number."""

    @property
    def outbox(self) -> Outbox:
        """What it is about to send."""

    def take_over(self, tp: TP, values: Sequence[bytes | None], /) -> bool:
        """Fold what is about to be sent to ``tp``; return whether it did."""


def hand_over(tasks: Sequence[Exchanging]) -> bool:
    """Let ``tasks`` fold what they are about to send to each other. What they do not is sent.

    From here on they commit together, or none of them does.

    Returns:
        Whether anything was handed over.
    """
    by_partition = {task.partition: task for task in tasks}
    has_handed_over = False
    for topic, partition in {to for task in tasks for to in task.outbox.targets}:
        receiver = by_partition.get(partition)
        if receiver is None:
            continue
        values = [
            record.value for task in tasks for record in task.outbox.records_for(topic, partition)
        ]
        if receiver.take_over(TP(topic, partition), values):
            has_handed_over = True
            for task in tasks:
                task.outbox.drop(topic, partition)
    return has_handed_over
