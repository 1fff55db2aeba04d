"""The records that a task's next transaction sends, besides its changelogs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class OutRecord(NamedTuple):
    """One record to send; ``timestamp`` in milliseconds, None for now."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int | None = None


#: What a record takes in memory besides its key and its value, in bytes, headers included.
RECORD_SIZE = 400


class Outbox:
    """Records by topic and partition, in the order in which they were added."""

    def __init__(self) -> None:
        """Start empty."""
        #: Bytes of memory that the records take, about.
        self.size = 0
        self._records: dict[tuple[str, int], list[OutRecord]] = {}

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._records)

    def add(self, topic: str, partition: int, record: OutRecord) -> None:
        """Send ``record`` with the next commit."""
        self._records.setdefault((topic, partition), []).append(record)
        self.size += RECORD_SIZE + len(record.key or b"") + len(record.value or b"")

    def take(self) -> dict[tuple[str, int], list[OutRecord]]:
        """Hand over what has gathered; a fresh outbox begins."""
        taken, self._records, self.size = self._records, {}, 0
        return taken
