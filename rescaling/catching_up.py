"""How far a new app id is with counting what the input still has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.event import Rejected, decode, timestamp_ms

if TYPE_CHECKING:
    from auditing.reading import Topics
    from settings import Settings

#: Records at the begin of a partition among which one event is looked for.
FIRST_RECORDS = 1000


@dataclass(frozen=True)
class Backlog:
    """What the input holds when a rebuild begins."""

    begins: dict[int, int]
    first_ms: int | None
    """Event time before which some partition has lost events to the topic's retention; None: no
    event is lost, or there is none."""

    @classmethod
    async def of(cls, topics: Topics, topic: str) -> Backlog:
        """Look at the first event of each partition that has lost some."""
        begins, times = await topics.begins(topic), []
        ends = await topics.ends(topic)
        for partition, begin in begins.items():
            if begin:
                end = min(ends[partition], begin + FIRST_RECORDS)
                times.append(await _first_time(topics, topic, partition, begin, end))
        return cls(begins, max((t for t in times if t is not None), default=None))

    def complete_from(self, settings: Settings) -> int | None:
        """Return from which time (ms) on all windows are whole; None: from the first event on."""
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
    """Return how many offsets of ``topic``, as it ends now, its group has not committed."""
    ends, begins = await topics.ends(topic), await topics.begins(topic)
    committed = await topics.committed(topic)
    return sum(
        end - max(begins[number], min(end, committed[number])) for number, end in ends.items()
    )
