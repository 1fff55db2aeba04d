"""Progress of a new app id that recounts the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.event import Rejected, decode, timestamp_ms

if TYPE_CHECKING:
    from auditing.reading import Topics
    from settings import Settings

#: Records at the start of a partition to search for a valid event.
FIRST_RECORDS = 1000


@dataclass(frozen=True)
class Backlog:
    """The content of the input when a rebuild begins."""

    begins: dict[int, int]
    first_ms: int | None
    """Event time in ms before which retention has deleted events of some partition; None: it has
    deleted none, or no event was found."""

    @classmethod
    async def of(cls, topics: Topics, topic: str) -> Backlog:
        """Read the first event of each partition whose oldest records were deleted."""
        begins, times = await topics.begins(topic), []
        ends = await topics.ends(topic)
        for partition, begin in begins.items():
            if begin:
                end = min(ends[partition], begin + FIRST_RECORDS)
                times.append(await _first_time(topics, topic, partition, begin, end))
        return cls(begins, max((t for t in times if t is not None), default=None))

    def complete_from(self, settings: Settings) -> int | None:
        """Return the time in ms from which windows are complete; None: from the first event on."""
        if self.first_ms is None:
            return None
        longest = max(settings.user_window, settings.video_window)
        step = max(settings.user_step, settings.video_step)
        return -(-(self.first_ms + settings.max_future_skew + longest) // step) * step


async def _first_time(
    topics: Topics, topic: str, partition: int, begin: int, end: int
) -> int | None:
    async for records in topics.read(topic, partition, begin, end):
        for record in records:
            event = decode(record.value)
            if not isinstance(event, Rejected):
                return timestamp_ms(event.timestamp)
    return None


async def left(topics: Topics, topic: str) -> int:
    """Return the number of offsets of ``topic`` that its group has not committed yet."""
    ends, begins = await topics.ends(topic), await topics.begins(topic)
    committed = await topics.committed(topic)
    return sum(
        end - max(begins[number], min(end, committed[number])) for number, end in ends.items()
    )
