"""The lag of each partition of the events, in records and in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitoring import metrics
from streaming.kafka.records import FIRST_TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from faust.types import TP

    from streaming.tasks.task import Task


class LagMeter:
    """Samples the lag of tasks, and sets its metrics."""

    def __init__(self) -> None:
        """Begin without samples."""
        #: Age in seconds of the oldest event not yet applied, by partition.
        self.seconds: dict[int, float] = {}
        self._caught_up: dict[TP, tuple[float, int | None]] = {}

    def measure(self, task: Task, ends: Mapping[TP, int], now: float) -> None:
        """Sample ``task`` at ``now``, with the logs ending at ``ends``."""
        behind, age = 0, 0.0
        for tp, end in ends.items():
            records = max(0, end - task.positions[tp])
            applied = task.applied_timestamps.get(tp)
            if not records or tp not in self._caught_up:
                self._caught_up[tp] = now, applied
            if records:
                behind += records
                age = max(age, now - self._oldest(task, tp))
        self.seconds[task.partition] = age
        metrics.lag_records.labels(str(task.partition)).set(behind)
        metrics.lag_seconds.labels(str(task.partition)).set(age)

    def _oldest(self, task: Task, tp: TP) -> float:
        """Return when the oldest event not yet applied was sent, in seconds.

        Its timestamp is unknown while it is in Kafka, or if it has none. It is then about as old
        as the last applied event, or arrived after all events were applied.
        """
        pending = task.pending_timestamps.get(tp)
        if pending is not None and pending >= FIRST_TIMESTAMP:
            return pending / 1000
        caught_up, applied_then = self._caught_up[tp]
        applied = task.applied_timestamps.get(tp, -1)
        unknown = applied < FIRST_TIMESTAMP or applied == applied_then
        return caught_up if unknown else applied / 1000

    def keep(self, partitions: Collection[int]) -> None:
        """Forget all partitions but these."""
        for tp in [tp for tp in self._caught_up if tp.partition not in partitions]:
            del self._caught_up[tp]
            self.seconds.pop(tp.partition, None)
