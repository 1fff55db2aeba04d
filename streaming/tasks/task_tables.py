"""The tables that a task writes, and the positions in its source topics that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faust.types import TP

from monitoring import metrics
from tables.layout import Position, TablePositions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming.tasks.processor import Processor
    from tables.layers import Layer
    from tables.state import PartitionState


class TaskTables:
    """One partition of each table."""

    def __init__(self, partition: int, processors: Sequence[Processor]) -> None:
        """Take the tables that ``processors`` write."""
        self._partition = partition
        self.processors = tuple(processors)
        self.states = [processor.state for processor in processors]
        #: Who folds what, in the order of preference.
        self.sources = {TP(topic, partition): p for p in processors for topic in p.topics}
        #: Ids of the source topics, by name: the tables keep them with the positions.
        self.topic_ids: Mapping[str, str] = {}

    def sinks(self) -> dict[TP, PartitionState]:
        """Return what takes the changes of each changelog."""
        return {TP(p.changelog_topic, self._partition): p.state for p in self.processors}

    def set_readable(self, *, readable: bool) -> None:
        """Let readers have answers, or not."""
        for state in self.states:
            state.readable = readable

    def reset_to_committed(self) -> None:
        """Begin anew from what is committed."""
        for processor in self.processors:
            processor.reset_to_committed()

    @property
    def has_pending(self) -> bool:
        """Whether :meth:`prepare` has something to do."""
        return any(p.state.sweeper or p.has_pending() for p in self.processors)

    def prepare(self) -> None:
        """Turn what has gathered, and keys that have expired, into changes and records."""
        for processor in self.processors:
            processor.state.sweeper.delete_found()
            processor.prepare()

    def freeze(self, positions: Mapping[TP, int]) -> list[tuple[Processor, Layer]]:
        """Set apart what has changed, with ``positions``, of tables where anything has."""
        stands = self._by_table(positions)
        frozen = [(p, p.state.freeze(stands[p.changelog_topic])) for p in self.processors]
        return [(processor, changes) for processor, changes in frozen if len(changes)]

    def post_commit(
        self, frozen: Sequence[tuple[Processor, Layer]], last_offsets: Sequence[int]
    ) -> None:
        """Take what was frozen as committed, with the last offset of each changelog."""
        for (processor, changes), last_offset in zip(frozen, last_offsets, strict=True):
            processor.state.post_commit(last_offset)
            metrics.changelog_records.labels(processor.state.table).inc(len(changes))

    def stored_positions(self) -> dict[TP, TablePositions]:
        """Return what the tables say about the source topics, as of the last commit."""
        return {
            tp: TablePositions(processor.changelog_topic, processor.state.positions)
            for tp, processor in self.sources.items()
        }

    def layouts(self, positions: Mapping[TP, int]) -> dict[str, Layer]:
        """Return what tables that stand at ``positions`` lack in their changelogs, by changelog."""
        return {p.changelog_topic: layer for p, layer in self.freeze(positions)}

    def post_commit_layouts(self, offsets: Mapping[str, int]) -> None:
        """Take :meth:`layouts` for committed, at these offsets of their changelogs."""
        for processor in self.processors:
            if processor.changelog_topic in offsets:
                processor.state.post_commit(offsets[processor.changelog_topic])

    def _by_table(self, positions: Mapping[TP, int]) -> dict[str, dict[str, Position]]:
        """Return ``positions`` as each table keeps those of its source topics, by changelog."""
        found: dict[str, dict[str, Position]] = {}
        for tp, processor in self.sources.items():
            position = Position(positions[tp], self.topic_ids.get(tp.topic, ""))
            found.setdefault(processor.changelog_topic, {})[tp.topic] = position
        return found
