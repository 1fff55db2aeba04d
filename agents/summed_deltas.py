"""Processing of deltas into the table that they belong to; all summed tables share it."""

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

    from accelerator import PaneBackend
    from models import _protocols
    from models.pane_windows import PaneWindows
    from models.viral import ViralRule
    from streaming.kafka.records import Record
    from tables.state import PartitionState

#: Most rows processed at once: more would block the event loop for over a millisecond.
MAX_ROWS_AT_ONCE: Final = 4000

W = TypeVar("W", bound="PaneWindows[Any]")
F = TypeVar("F", bound="_protocols.PaneWindows")


class OtherStepError(CodecError):
    """Workers of one app use different steps."""


class DeltaProcessor(Generic[W, F]):
    """Processes one partition of the deltas into the keys of that partition."""

    def __init__(
        self,
        partition: int,
        state: PartitionState,
        deltas_topic: str,
        backend: PaneBackend[W, F],
        changelog_topic: str,
        rule: ViralRule | None = None,
    ) -> None:
        """Process ``deltas_topic`` into ``state``; ``rule`` determines the keys for ``_note``."""
        self.topics: Sequence[str] = (deltas_topic,)
        self.changelog_topic = changelog_topic
        self.state = state
        self._partition = partition
        self._backend = backend
        self._rule = rule
        # Create the series now: the alert needs it before the first foreign record.
        metrics.foreign_records.labels(deltas_topic)

    async def process(self, records: Sequence[Record], *_: object) -> None:
        """Add the deltas, and advance stream time."""
        backend = self._backend
        try:
            chunk = backend.chunk(list(map(self._in_steps, records)))
        except CodecError:
            chunk = backend.chunk(list(map(self._in_steps, filter(self._is_delta, records))))
        if chunk.latest >= 0:
            # No await from here on: a commit must contain the whole chunk or nothing of it.
            self._apply(chunk, await self.state.load(chunk.keys))

    def take_over(self, _: str, values: Sequence[bytes | None]) -> bool:
        """Process ``values`` synchronously, unless many of their keys must be read from disk."""
        chunk = self._backend.chunk(values)
        if (
            len(chunk.keys) > MAX_ROWS_AT_ONCE
            or (loaded := self.state.load_few(chunk.keys)) is None
        ):
            return False
        self._apply(chunk, loaded)
        return True

    def _apply(self, chunk: _protocols.DeltaChunk, loaded: _protocols.LookupResult) -> None:
        state, backend = self.state, self._backend
        self._advance(chunk.latest)
        state.complete_from = max(state.complete_from, chunk.complete_from)
        now = state.stream_time or 0
        self._note(chunk.apply(backend.windows, loaded, state.dirty, now, self._rule))

    def _in_steps(self, record: Record) -> bytes | None:
        """Return a record's value, its panes numbered by the step of this worker.

        Records sent before the step became coarser have a finer one. Records of earlier releases
        have no header with their step: it is the one with which the table was built.

        Raises:
            OtherStepError: this worker's step is not a multiple of the record's.
        """
        step, sent = self._backend.plain_windows.slices.step, self._backend.plain_windows.unit
        for name, header in record.headers:
            if name == STEP and header and header.isdigit():
                sent = int(header) or sent
        if sent == step or not record.value:
            return record.value
        if step % sent:
            unpack_deltas(record.value, self._backend.plain_windows.entity)
            raise OtherStepError(
                f"a worker sends sums with a step of {format_duration(sent)} to {self.topics[0]}, "
                f"but this worker's step is {format_duration(step)}: give all workers the same "
                "settings"
            )
        return in_coarser_steps(record.value, step // sent, self._backend.plain_windows.entity)

    def _is_delta(self, record: Record) -> bool:
        try:
            unpack_deltas(record.value or b"", self._backend.plain_windows.entity)
        except CodecError as exc:
            FOREIGN.skip(TP(self.topics[0], self._partition), record.offset, str(exc))
            return False
        return True

    def _advance(self, stream_time: int) -> None:
        state = self.state
        if state.stream_time is None or stream_time > state.stream_time:
            state.stream_time = stream_time

    def _note(self, reached: set[int]) -> None:
        """Handle keys with enough views for the rule; without a rule there are none."""

    def has_pending(self) -> bool:
        """Whether there is anything to prepare."""
        return False

    def prepare(self) -> None:
        """Do nothing, because processed deltas are already in the state."""

    def reset_to_committed(self) -> None:
        """Start from the committed state."""
        self.state.reset_to_committed()
        self._backend = self._backend.in_units(self.state.unit)
