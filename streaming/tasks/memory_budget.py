"""A task's share of a worker's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.tasks.outbox import Outbox
    from streaming.tasks.shared_limits import SharedLimits
    from tables.state import PartitionState

#: Bytes of the overlays of all tasks; frozen overlays may take as much again. With values of some
#: hundred bytes, the changes of a second stay below this. With a third of it, events of users with
#: values of 2 KB cost twice as much, because fewer events shared a write.
UNCOMMITTED_BYTES = 192 << 20

#: Bytes of records to send, of all tasks. Records, unlike rows, do not merge: more of them in a
#: transaction only take more memory.
OUTBOX_BYTES = 48 << 20

#: Bytes of committed, unflushed rows of all tasks, before a commit waits. A steady 50,000 events/s
#: make 80 MiB per flush interval, 140 MiB after an hour of 1 million users. A smaller bound causes
#: more frequent flushes and more reads.
UNFLUSHED_BYTES = 176 << 20

#: Fraction of that bound above which flushes start early; under a backlog, each commit adds about
#: that much.
EARLY_FLUSH_SHARE = 0.75

#: Bytes of all rows in memory at the start of a commit, before flushed rows are evicted. A steady
#: load fits with the rows of half a minute, a backlog with few.
ROW_BYTES = 224 << 20

#: Bytes of linked rows (indexes of ids) in memory, before some are evicted; also the bytes of
#: unflushed linked rows before a commit waits. For a user with hundreds of ids within the horizon,
#: the index is larger than the row.
LINKED_BYTES = 256 << 20


class MemoryBudget:
    """A task's budget: an equal part of each bound."""

    def __init__(
        self, states: Sequence[PartitionState], outbox: Outbox, shared_limits: SharedLimits
    ) -> None:
        """Measure ``states`` and ``outbox``; ``shared_limits`` knows the number of tasks."""
        self._states = states
        self._outbox = outbox
        self._shared_limits = shared_limits

    @property
    def is_full(self) -> bool:
        """Whether overlay or outbox is large enough for an early commit."""
        share, dirty = self._shared_limits.share, sum(s.layers.dirty_bytes for s in self._states)
        return dirty >= share(UNCOMMITTED_BYTES) or self._outbox.size >= share(OUTBOX_BYTES)

    @property
    def unflushed(self) -> float:
        """Unflushed rows as a part of their bound; above 1: too much."""
        rows = sum(state.layers.unflushed_bytes for state in self._states)
        linked = sum(state.layers.unflushed_linked_bytes for state in self._states)
        share = self._shared_limits.share
        return max(rows / share(UNFLUSHED_BYTES), linked / share(LINKED_BYTES))

    def evict(self) -> None:
        """Evict flushed rows to make room for unflushed ones."""
        # Processing may add as much again during the commit.
        dirty = sum(state.layers.dirty_bytes for state in self._states)
        rows = self._shared_limits.share(ROW_BYTES) - dirty
        linked = self._shared_limits.share(LINKED_BYTES)
        for state in self._states:
            state.layers.evict(rows, linked)
            rows -= state.layers.row_bytes
            linked -= state.layers.linked_bytes
