"""Handover: a task processes deltas of this worker's other tasks directly, without a topic.

A users' partition has deltas for the tables of videos and creators. If the receiving partition
belongs to the same worker, its rows are in the same transaction as the users' rows, so no topic
needs to carry the deltas. They cost no records, and answers count them after the next exchange, not
one commit and one fetch later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from faust.types import TP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.tasks.outbox import Outbox


class Exchanging(Protocol):
    """A task that hands over and takes over deltas."""

    @property
    def partition(self) -> int:
        """The partition number."""

    @property
    def outbox(self) -> Outbox:
        """The records to send."""

    def take_over(self, tp: TP, values: Sequence[bytes | None], /) -> bool:
        """Process the values of records for ``tp``; return whether it did."""


def hand_over(tasks: Sequence[Exchanging]) -> bool:
    """Let ``tasks`` process the records that they would send to each other.

    Records that no task takes over are sent. After a handover the tasks commit together or not at
    all.

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
