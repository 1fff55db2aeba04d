"""Positions: where tables continue in their source topics.

Each commit writes the positions to the tables' changelogs, together with the rows. It also commits
the group's offsets, for tools that watch the lag. Group offsets are followed only if an operator
moved them ahead.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from monitoring import metrics
from streaming.errors import PositionError
from tables.layout import Position, TablePositions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from faust.types import TP

    from streaming.fetch.consumer_thread import BatchConsumerThread

log = logging.getLogger(__name__)

#: Checks of an impossible position, and seconds between them, before it is accepted as true.
MAX_LOOKS, LOOK_DELAY_S = 4, 0.5

NOBODY_KNOWS = "It is unknown which events were counted"
#: Where the group's offsets decide, and where the tables do.
SET_OFFSETS = f"{NOBODY_KNOWS}: set the group's offsets, or start over with another REELS_APP_ID"
START_ANEW = f"{NOBODY_KNOWS}: start over with another REELS_APP_ID"

#: Differences between a table's position and the group's offset, and what follows.
GONE = "the group's offsets are gone; continuing at the tables' positions"
MOVED_BACK = (
    "the group's offsets were moved back, to events that are already counted; continuing at the "
    "tables' positions"
)
BEYOND_END = (
    "the group's offsets are beyond the end of the topic; continuing at the tables' positions"
)
MOVED_AHEAD = (
    "the group's offsets were moved ahead of the tables' positions; following them: the events "
    "between are skipped"
)


class Start(NamedTuple):
    """A position, and why it differs from the group's offset (None: it does not)."""

    offset: int
    note: str | None = None
    skipped: int = 0
    """Offsets that an operator skipped."""


class KnownOffsets(NamedTuple):
    """Known offsets of one partition of a source topic."""

    tp: TP
    table: TablePositions
    group: int | None
    """The group's offset."""
    is_claimed: bool
    """Whether the worker of the last claim wrote positions for its tables."""
    begin: int
    """Offset of the oldest record."""
    end: int
    """End offset."""
    topic_id: str
    """Topic id, empty if the brokers have none."""
    is_new: bool = False
    """Whether the group has offsets in other sources of the table but not in this one, which the
    previous release did not have."""

    def start(self) -> Start:
        """Return where to continue.

        Raises:
            PositionError: the position cannot be determined.
        """
        positions = self.table.positions
        if positions and self.tp.topic in positions:
            return self._by_table(positions[self.tp.topic])
        if self.group is not None:
            return Start(self._by_group(self.group))
        if positions is not None and not positions and not self.is_new:
            raise PositionError(
                f"the group's offset for {self._name} is gone, and {self.table.changelog} was "
                f"written by a release that kept offsets only with the group. {SET_OFFSETS}"
            )
        return Start(self.begin)

    def _by_table(self, table: Position) -> Start:
        at, group = table.offset, self.group
        if table.topic_id and self.topic_id and table.topic_id != self.topic_id:
            raise PositionError(
                f"topic {self.tp.topic} has the id {self.topic_id}, but the tables were built from "
                f"one with the id {table.topic_id}: it was recreated, or this is another cluster. "
                "Go back to that topic, or start over with another REELS_APP_ID"
            )
        if at > self.end:
            raise beyond_end(self.tp, at, self.end, START_ANEW)
        if group is None:
            return Start(at, GONE)
        if group > self.end:
            return Start(at, BEYOND_END)
        if group > at:
            return Start(group, MOVED_AHEAD, group - at)
        return Start(at, MOVED_BACK if group < at else None)

    def _by_group(self, group: int) -> int:
        if self.table.positions is None and self.is_claimed:
            raise PositionError(
                f"{self._name} was read up to offset {group}, but its changelog "
                f"{self.table.changelog} is empty: it was deleted, or recreated. Rewrite it from a "
                "worker's disk with `faust -A app restore-changelog`, or start over with another "
                "REELS_APP_ID"
            )
        if group > self.end:
            raise beyond_end(self.tp, group, self.end, SET_OFFSETS)
        return group

    def describe(self) -> str:
        """Return the positions of group and table, as text."""
        table = (self.table.positions or {}).get(self.tp.topic)
        return f"{self._name}: group at {self.group}, table at {table and table.offset}"

    @property
    def _name(self) -> str:
        return f"{self.tp.topic}-{self.tp.partition}"


class Positions:
    """Finds and checks the positions of one consumer."""

    def __init__(
        self,
        thread: BatchConsumerThread,
        sleep: Callable[[float], Awaitable[None]],
        writes_positions: Callable[[str], bool],
    ) -> None:
        """Ask through ``thread``.

        Arguments:
            thread: the consumer thread.
            sleep: a sleep that ends early when the worker ends.
            writes_positions: whether the worker that a group's offset names writes positions for
                its tables.
        """
        self._thread = thread
        self._sleep = sleep
        self._writes_positions = writes_positions
        #: Ends of the skipped offsets that were counted. Opening a partition is retried, and finds
        #: the same offsets until a claim has moved the tables' positions past them. To count after
        #: the claim would miss those of a claim that fails but was committed.
        self._counted: dict[TP, int] = {}
        # An alert needs the series before the first event.
        for reason in ("moved", "deleted"):
            metrics.events_skipped.labels(reason)

    async def starts(self, tables: Mapping[TP, TablePositions]) -> dict[TP, Position]:
        """Return where to continue in each source topic, by its table.

        Raises:
            PositionError: a topic was recreated or lost records.
        """
        _check_names(tables)
        known, starts = await self._judged(tables)
        notes: dict[str, list[str]] = defaultdict(list)
        for tp, start in starts.items():
            if start.note is not None:
                notes[start.note].append(known[tp].describe())
            self._count_skipped("moved", tp, start.offset - start.skipped, start.offset)
        for note, places in notes.items():
            log.warning("%s (%s)", note, "; ".join(sorted(places)))
        return {
            tp: Position(self._first_kept(tp, start.offset, known[tp].begin), known[tp].topic_id)
            for tp, start in starts.items()
        }

    async def _judged(
        self, tables: Mapping[TP, TablePositions]
    ) -> tuple[dict[TP, KnownOffsets], dict[TP, Start]]:
        """Return known offsets and positions; impossible ones are checked again."""
        attempt = 1
        while True:
            known = await self._known(tables)
            try:
                return known, {tp: each.start() for tp, each in known.items()}
            except PositionError:
                # A new leader may need a moment to learn its committed end.
                if attempt == MAX_LOOKS:
                    raise
            attempt += 1
            await self._sleep(LOOK_DELAY_S)

    async def _known(self, tables: Mapping[TP, TablePositions]) -> dict[TP, KnownOffsets]:
        thread = self._thread
        stored = await thread.committed(tables)
        begins = await thread.earliest_offsets(*tables)
        ends = await thread.log_ends(tables)
        ids = await thread.topic_ids({tp.topic for tp in tables})
        read = {(table.changelog, tp.partition) for tp, table in tables.items() if tp in stored}
        return {
            tp: KnownOffsets(
                tp,
                table,
                group=stored[tp].offset if tp in stored else None,
                is_claimed=tp in stored and self._writes_positions(stored[tp].metadata),
                begin=begins[tp],
                end=ends[tp],
                topic_id=ids.get(tp.topic, ""),
                is_new=tp not in stored and (table.changelog, tp.partition) in read,
            )
            for tp, table in tables.items()
        }

    async def claimants(self, tps: list[TP]) -> dict[TP, str]:
        """Return the workers named by the metadata of the group's offsets."""
        return {tp: stored.metadata for tp, stored in (await self._thread.committed(tps)).items()}

    async def first_kept(self, tp: TP, at: int) -> int:
        """Return ``at``, or the first available offset after it."""
        begins = await self._thread.earliest_offsets(tp)
        return self._first_kept(tp, at, begins[tp])

    def _first_kept(self, tp: TP, at: int, begin: int) -> int:
        """Return the later of ``at`` and ``begin``; skipped events are logged and counted."""
        if count := self._count_skipped("deleted", tp, at, begin):
            log.error(
                "%s-%s: offsets %s to %s were deleted before they were read: those events are "
                "lost; continuing at %s",
                *(tp.topic, tp.partition, begin - count, begin - 1, begin),
            )
        return max(at, begin)

    def _count_skipped(self, reason: str, tp: TP, start: int, end: int) -> int:
        """Count the offsets from ``start`` to ``end`` once; return how many are new."""
        new = max(0, end - max(start, self._counted.get(tp, start)))
        if new:
            self._counted[tp] = end
            metrics.events_skipped.labels(reason).inc(new)
        return new

    async def check_ends(self, positions: Mapping[TP, int]) -> None:
        """Refuse positions beyond the end of a log.

        Raises:
            PositionError: the topic was recreated, or lost acknowledged records.
        """
        beyond = dict(positions)
        for attempt in range(MAX_LOOKS):
            # A new leader may need a moment to learn its committed end.
            await self._sleep(LOOK_DELAY_S if attempt else 0.0)
            ends = await self._thread.log_ends(beyond)
            beyond = {tp: at for tp, at in beyond.items() if at > ends[tp]}
            if not beyond:
                return
        for tp, at in beyond.items():
            raise beyond_end(tp, at, ends[tp], START_ANEW)


def _check_names(tables: Mapping[TP, TablePositions]) -> None:
    """Refuse tables built from a topic that is no longer a source."""
    sources: dict[tuple[str, int], set[str]] = defaultdict(set)
    for tp, table in tables.items():
        sources[table.changelog, tp.partition].add(tp.topic)
    for tp, table in tables.items():
        names = sources[table.changelog, tp.partition]
        for other in (table.positions or {}).keys() - names:
            raise PositionError(
                f"{table.changelog} was built from topic {other}, but the settings name "
                f"{', '.join(sorted(names))}: set it back, or start over with another REELS_APP_ID"
            )


def beyond_end(tp: TP, at: int, end: int, advice: str) -> PositionError:
    """Return the refusal of a position behind the end of its log, with what to do."""
    return PositionError(
        f"offset {at} of {tp.topic}-{tp.partition} is beyond the end of the topic, {end}: it was "
        f"recreated, or has lost records. {advice}"
    )
