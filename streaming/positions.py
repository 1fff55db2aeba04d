"""Where to read on: what the group has stored, held against what its topics still have."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from .errors import PositionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from faust.types import TP

    from .consumer_thread import BatchConsumerThread

log = logging.getLogger(__name__)

#: Looks at what cannot be, and seconds between them, before it is believed.
LOOKS, LOOK_DELAY = 4, 0.5

ADVICE = (
    "Nobody can say which events were counted: set the group's offsets, or start anew with "
    "another REELS_APP_ID"
)


class Positions:
    """Finds and checks the positions of one consumer."""

    def __init__(
        self, thread: BatchConsumerThread, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        """Ask through ``thread``; ``sleep`` ends early when the worker does."""
        self._thread = thread
        self._sleep = sleep
        self._reached: dict[TP, int] = {}

    def reached(self, positions: Mapping[TP, int]) -> None:
        """Remember where a task that is closed stood."""
        self._reached.update(positions)

    async def stored(self, tps: list[TP]) -> dict[TP, int]:
        """Return where to go on: the group's offsets, or the first record where it has none.

        Raises:
            PositionError: a topic was made anew, or has lost what it had acknowledged.
        """
        stored = await self._thread.committed(tps)
        committed = {tp: stored[tp].offset if tp in stored else None for tp in tps}
        begins = await self._thread.earliest_offsets(*tps)
        await self.check_ends({tp: at for tp in tps if (at := committed[tp]) is not None})
        for tp, at in committed.items():
            # The brokers forget a group's offsets with the topic.
            if at is None and (reached := self._reached.get(tp, 0)) > begins[tp]:
                raise PositionError(
                    f"{tp.topic}-{tp.partition} was read up to offset {reached}, but the group's "
                    f"offsets are gone: the topic was made anew, or they were deleted. {ADVICE}"
                )
        return {
            tp: begins[tp] if at is None else first_kept(tp, at, begins[tp])
            for tp, at in committed.items()
        }

    async def claimants(self, tps: list[TP]) -> dict[TP, str]:
        """Return what the group's offsets say in their metadata: whose transactions they are of."""
        return {tp: stored.metadata for tp, stored in (await self._thread.committed(tps)).items()}

    async def first_kept(self, tp: TP, at: int) -> int:
        """Return ``at``, or the first offset that is still there."""
        begins = await self._thread.earliest_offsets(tp)
        return first_kept(tp, at, begins[tp])

    async def check_ends(self, positions: Mapping[TP, int]) -> None:
        """Refuse positions beyond the end of a log.

        Raises:
            PositionError: the topic was made anew, or has lost what it had acknowledged.
        """
        beyond = dict(positions)
        for attempt in range(LOOKS):
            # A new leader may need a moment to know how far its log is committed.
            await self._sleep(LOOK_DELAY if attempt else 0.0)
            ends = await self._thread.log_ends(beyond)
            beyond = {tp: at for tp, at in beyond.items() if at > ends[tp]}
            if not beyond:
                return
        for tp, at in beyond.items():
            raise PositionError(
                f"offset {at} of {tp.topic}-{tp.partition} is beyond the end of the topic, "
                f"{ends[tp]}: it was made anew, or has lost records. {ADVICE}"
            )

    async def check_topic(self, topic: str) -> None:
        """Refuse to go on without ``topic``, from which events were read already.

        Raises:
            PositionError: the brokers answer, and answer again, that there is none.
        """
        for attempt in range(LOOKS):
            # A broker that has just started may not know of all topics yet.
            await self._sleep(LOOK_DELAY if attempt else 0.0)
            try:
                if await self._thread.has_topic(topic):
                    return
            except KafkaError as exc:
                log.debug("whether there is a topic %s is not known: %r", topic, exc)
                return
        raise PositionError(f"the topic {topic} was deleted. {ADVICE}")


def first_kept(tp: TP, at: int, begin: int) -> int:
    """Return the later one of ``at`` and ``begin``, and say which events that leaves out."""
    if at < begin:
        log.error(
            "%s-%s: offsets %s to %s were deleted before they were read: those events are "
            "lost; going on at %s",
            *(tp.topic, tp.partition, at, begin - 1, begin),
        )
    return max(at, begin)
