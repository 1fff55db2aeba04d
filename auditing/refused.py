"""The events that a worker rejected because they were ahead of its clock."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from auditing.dead_letters import number_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from auditing.reading import Topics
    from auditing.report import Report


class RefusedEvents:
    """Reads them from the dead letters, which grow while workers run."""

    def __init__(self, topics: Topics, dead_letters: str, report: Report) -> None:
        """Begin without any; ``report`` gets notes about records of other programs."""
        self._topics = topics
        self._dead_letters = dead_letters
        self._report = report
        self._offsets: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        """By topic and partition."""
        self._read: dict[int, int] = {}

    async def read(self) -> None:
        """Read the dead letters committed since the last call."""
        topic = self._dead_letters
        begins, ends = await self._topics.begins(topic), await self._topics.ends(topic)
        for partition, end in ends.items():
            start = max(begins[partition], self._read.get(partition, 0))
            self._read[partition] = end
            async for records in self._topics.read(topic, partition, start, end):
                for record in records:
                    headers = dict(record.headers)
                    if headers.get("reason") == b"future_timestamp":
                        self._add(
                            headers, f"the record at offset {record.offset} of {topic}-{partition}"
                        )

    def _add(self, headers: Mapping[str, bytes], what: str) -> None:
        source = number_of(headers, "source.partition")
        offset = number_of(headers, "source.offset")
        if source is None or offset is None:
            self._report.notes.append(f"{what} is not a worker's dead letter: skipped")
        else:
            name = headers.get("source.topic", b"").decode(errors="replace")
            self._offsets[name][source].add(offset)

    def of(self, topic: str) -> Mapping[int, Collection[int]]:
        """Return the offsets of the events of a topic, by partition."""
        return self._offsets[topic]
