"""What a task takes of the memory that all tasks of a worker share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.tasks.outbox import Outbox
    from streaming.tasks.shared_limits import SharedLimits
    from tables.state import PartitionState

#: Bytes of what all tasks have folded and not begun to commit; what is being committed is as much
#: again at most. Values of hundreds of bytes never reach it within a second. Less of it costs more
#: than it saves: a third made values of 2 KB twice as dear, since fewer events shared a write.
UNCOMMITTED_BYTES = 192 << 20

#: Bytes of what all tasks have committed and RocksDB has not got yet, before a commit waits for it.
#: A steady 50,000 events/s make 80 MiB in the interval of settling, 140 after an hour of 1 million
#: users. Room for less has that written in a hurry, more often, and read again.
UNWRITTEN_BYTES = 176 << 20

#: Part of that which is settled before its time. Behind in a backlog each commit leaves about as
#: much.
MUCH_UNWRITTEN = 0.75

#: Bytes of all rows in memory when a commit begins, before those that are on disk as well are let
#: go. In a steady load there is room for what half a minute has written, in a backlog for little.
ROW_BYTES = 224 << 20

#: Bytes of the rows that these have at hand, before some are let go likewise, and of what is
#: unwritten before a commit waits. Users with hundreds of ids within the horizon have more there
#: than in rows of their own.
COMPANION_BYTES = 256 << 20


class MemoryBudget:
    """The room of a task: an equal part of each bound."""

    def __init__(
        self, states: Sequence[PartitionState], outbox: Outbox, shared_limits: SharedLimits
    ) -> None:
        """Measure ``states`` and ``outbox``; ``shared_limits`` knows how many tasks share."""
        self._states = states
        self._outbox = outbox
        self._shared_limits = shared_limits

    @property
    def is_full(self) -> bool:
        """Whether so much is folded that it is to be committed before its time."""
        dirty = sum(state.dirty_bytes for state in self._states)
        return dirty + self._outbox.size >= self._shared_limits.share(UNCOMMITTED_BYTES)

    @property
    def unwritten(self) -> float:
        """What is committed and not written, as a part of what it may be; above 1: too much."""
        rows = sum(state.unwritten_bytes for state in self._states)
        companions = sum(state.unwritten_companion_bytes for state in self._states)
        share = self._shared_limits.share
        return max(rows / share(UNWRITTEN_BYTES), companions / share(COMPANION_BYTES))

    def evict(self) -> None:
        """Let go of rows that are on disk as well, to make room for those that are not."""
        # As much as is committed now may be folded meanwhile.
        dirty = sum(state.dirty_bytes for state in self._states)
        rows = self._shared_limits.share(ROW_BYTES) - dirty
        companions = self._shared_limits.share(COMPANION_BYTES)
        for state in self._states:
            state.evict(rows, companions)
            rows -= state.row_bytes
            companions -= state.companion_bytes
