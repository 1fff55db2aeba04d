"""The records of a task's next transaction, apart from changelogs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.kafka.record_bounds import fit, is_small, size_of
from streaming.kafka.topic_limits import Limits

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from streaming.kafka.records import OutRecord


#: Memory of a record in bytes, without its key, value and headers.
RECORD_BYTES = 300


class Outbox:
    """Records by topic and partition, in the order in which they were added."""

    def __init__(self, limits: Limits | None = None, patient: Collection[str] = ()) -> None:
        """Start empty.

        Arguments:
            limits: the limits of the records' topics.
            patient: topics whose records may wait for the usual time of a commit.
        """
        self._limits = limits or Limits()
        self._patient = frozenset(patient)
        #: Approximate bytes of memory of the records.
        self.size = 0
        self._records: dict[tuple[str, int], list[OutRecord]] = {}

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._records)

    @property
    def is_urgent(self) -> bool:
        """Whether a record waits that makes an answer fresher: a commit should start now."""
        return any(topic not in self._patient for topic, _ in self._records)

    def add(self, topic: str, partition: int, record: OutRecord) -> None:
        """Send ``record`` with the next commit, in a form that ``topic`` accepts."""
        self.extend(topic, partition, (record,))

    def extend(self, topic: str, partition: int, records: Iterable[OutRecord]) -> None:
        """Send ``records`` like :meth:`add`."""
        limits = self._limits.of(topic)
        gathered: list[OutRecord] = []
        for record in records:
            fitting, size = record, size_of(record)
            if not is_small(record, size, limits):
                fitting = fit(record, limits)
                size = size_of(fitting)
            gathered.append(fitting)
            self.size += RECORD_BYTES + size
        if gathered:
            self._records.setdefault((topic, partition), []).extend(gathered)

    @property
    def targets(self) -> list[tuple[str, int]]:
        """The topics and partitions of the records."""
        return list(self._records)

    def records_for(self, topic: str, partition: int) -> Sequence[OutRecord]:
        """Return the records for a partition of a topic."""
        return self._records.get((topic, partition), ())

    def drop(self, topic: str, partition: int) -> None:
        """Remove the records for a partition of a topic."""
        for record in self._records.pop((topic, partition), ()):
            self.size -= RECORD_BYTES + size_of(record)

    def take(self) -> dict[tuple[str, int], list[OutRecord]]:
        """Return the records, and start empty again."""
        taken, self._records, self.size = self._records, {}, 0
        return taken
