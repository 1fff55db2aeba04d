"""The tables of a task, and their positions in the source topics."""

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
        """Use the tables of ``processors``."""
        self._partition = partition
        self.processors = tuple(processors)
        self.states = [processor.state for processor in processors]
        #: Processors by topic, highest priority first.
        self.sources = {TP(topic, partition): p for p in processors for topic in p.topics}
        #: Topic ids of the source topics, which tables store with positions.
        self.topic_ids: Mapping[str, str] = {}

    def sinks(self) -> dict[TP, PartitionState]:
        """Return the states by changelog."""
        return {TP(p.changelog_topic, self._partition): p.state for p in self.processors}

    def set_readable(self, *, readable: bool) -> None:
        """Allow or refuse reads."""
        for state in self.states:
            state.readable = readable

    def reset_to_committed(self) -> None:
        """Return to the committed state."""
        for processor in self.processors:
            processor.reset_to_committed()

    @property
    def has_pending(self) -> bool:
        """Whether :meth:`prepare` has work."""
        return any(p.state.sweeper or p.has_pending() for p in self.processors)

    def prepare(self) -> None:
        """Turn accumulated changes and expired keys into changes and records."""
        for processor in self.processors:
            processor.state.sweeper.delete_found()
            processor.prepare()

    def freeze(self, positions: Mapping[TP, int]) -> list[tuple[Processor, Layer]]:
        """Freeze the changes of all changed tables, with ``positions``."""
        stands = self._by_table(positions)
        frozen = [(p, p.state.freeze(stands[p.changelog_topic])) for p in self.processors]
        return [(processor, changes) for processor, changes in frozen if len(changes)]

    def post_commit(
        self, frozen: Sequence[tuple[Processor, Layer]], last_offsets: Sequence[int]
    ) -> None:
        """Mark the frozen changes as committed, with the last offset of each changelog."""
        for (processor, changes), last_offset in zip(frozen, last_offsets, strict=True):
            processor.state.post_commit(last_offset)
            metrics.changelog_records.labels(processor.state.table).inc(len(changes))

    def stored_positions(self) -> dict[TP, TablePositions]:
        """Return the tables' committed positions and topic ids."""
        return {
            tp: TablePositions(processor.changelog_topic, processor.state.positions)
            for tp, processor in self.sources.items()
        }

    def layouts(self, positions: Mapping[TP, int]) -> dict[str, Layer]:
        """Return the layout records for ``positions`` that changelogs lack, by changelog."""
        return {p.changelog_topic: layer for p, layer in self.freeze(positions)}

    def post_commit_layouts(self, offsets: Mapping[str, int]) -> None:
        """Mark :meth:`layouts` as committed, at these changelog offsets."""
        for processor in self.processors:
            if processor.changelog_topic in offsets:
                processor.state.post_commit(offsets[processor.changelog_topic])

    def _by_table(self, positions: Mapping[TP, int]) -> dict[str, dict[str, Position]]:
        """Return each table's part of ``positions``, by changelog."""
        found: dict[str, dict[str, Position]] = {}
        for tp, processor in self.sources.items():
            position = Position(positions[tp], self.topic_ids.get(tp.topic, ""))
            found.setdefault(processor.changelog_topic, {})[tp.topic] = position
        return found
