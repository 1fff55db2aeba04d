"""Deltas: into the table that they are sums for, as all tables that are sent sums do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from faust.types import TP

from models.deltas import STEP, in_coarser_steps, unpack_deltas
from models.errors import CodecError
from models.windows import format_duration
from monitoring import metrics
from streaming.restore.foreign import FOREIGN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelerator import Counting
    from models import _protocols
    from models.pane_windows import PaneWindows
    from models.viral import ViralRule
    from streaming.kafka.records import Record
    from tables.layers import Values
    from tables.state import PartitionState

#: Rows that are folded at once: more would keep the event loop for a millisecond and longer.
MOST_AT_ONCE: Final = 4000

W = TypeVar("W", bound="PaneWindows[Any]")
F = TypeVar("F", bound="_protocols.PaneWindows")


class OtherStepError(CodecError):
    """Workers of one app count by different steps."""


class DeltaProcessor(Generic[W, F]):
    """Folds one partition of the deltas into the keys of that partition."""

    def __init__(
        self,
        partition: int,
        state: PartitionState,
        deltas_topic: str,
        counting: Counting[W, F],
        changelog_topic: str,
        rule: ViralRule | None = None,
    ) -> None:
        """Fold into ``state`` what comes in ``deltas_topic``; ``rule`` says which keys to note."""
        self.topics: Sequence[str] = (deltas_topic,)
        self.changelog_topic = changelog_topic
        self.state = state
        self._partition = partition
        self._counting = counting
        self._rule = rule
        # An alert finds its series before the first of them.
        metrics.foreign_records.labels(deltas_topic)

    async def process(self, records: Sequence[Record], *_: object) -> None:
        """Add up the deltas, and stream time with them."""
        counting = self._counting
        try:
            chunk = counting.chunk(list(map(self._in_steps, records)))
        except CodecError:
            chunk = counting.chunk(list(map(self._in_steps, filter(self._is_delta, records))))
        if chunk.latest >= 0:
            # From here on nothing waits: a commit sees all of this chunk or nothing of it.
            self._fold(chunk, await self.state.load(chunk.keys))

    def take_over(self, _: str, values: Sequence[bytes | None]) -> bool:
        """Fold ``values``, unless many of their keys have to be read from disk first."""
        chunk = self._counting.chunk(values)
        if len(chunk.keys) > MOST_AT_ONCE or (loaded := self.state.load_few(chunk.keys)) is None:
            return False
        self._fold(chunk, loaded)
        return True

    def _fold(self, chunk: _protocols.DeltaChunk, loaded: Values) -> None:
        state, counting = self.state, self._counting
        self._advance(chunk.latest)
        state.complete_from = max(state.complete_from, chunk.complete_from)
        now = state.stream_time or 0
        self._note(chunk.apply(counting.functions, loaded, state.dirty, now, self._rule))

    def _in_steps(self, record: Record) -> bytes | None:
        """Return a record's sums by the step of this worker.

        Those sent before the step became coarser are of a finer one. Earlier releases did not say
        which: that was the one that the table was built with.

        Raises:
            OtherStepError: it is no part of this worker's.
        """
        step, sent = self._counting.windows.slices.step, self._counting.windows.unit
        for name, header in record.headers:
            if name == STEP and header and header.isdigit():
                sent = int(header) or sent
        if sent == step or not record.value:
            return record.value
        if step % sent:
            unpack_deltas(record.value, self._counting.windows.entity)
            raise OtherStepError(
                f"a worker sends sums by a step of {format_duration(sent)} in {self.topics[0]}, "
                f"this one has {format_duration(step)}: give all workers the same settings"
            )
        return in_coarser_steps(record.value, step // sent, self._counting.windows.entity)

    def _is_delta(self, record: Record) -> bool:
        try:
            unpack_deltas(record.value or b"", self._counting.windows.entity)
        except CodecError as exc:
            FOREIGN.skip(TP(self.topics[0], self._partition), record.offset, str(exc))
            return False
        return True

    def _advance(self, stream_time: int) -> None:
        state = self.state
        if state.stream_time is None or stream_time > state.stream_time:
            state.stream_time = stream_time

    def _note(self, reached: set[int]) -> None:
        """Take note of the keys that may have come under the rule."""

    def has_pending(self) -> bool:
        """Whether there is something to prepare."""
        return False

    def prepare(self) -> None:
        """Prepare nothing: what is folded is in the state."""

    def reset_to_committed(self) -> None:
        """Begin anew from the committed state."""
        self.state.reset_to_committed()
        self._counting = self._counting.in_units(self.state.unit)
