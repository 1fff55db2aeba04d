"""Where to read on: the tables' own positions, held against the group's offsets and the topics.

Each commit writes the positions into the tables' changelogs, with the rows that they stand for. The
group's offsets are committed with them for tools that watch the lag; only an operator who moves
them ahead is followed.
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

#: Looks at what cannot be, and seconds between them, before it is believed.
LOOKS, LOOK_DELAY = 4, 0.5

NOBODY_KNOWS = "Nobody can say which events were counted"
#: Where the group's offsets decide, and where the tables do.
SET_OFFSETS = f"{NOBODY_KNOWS}: set the group's offsets, or start anew with another REELS_APP_ID"
START_ANEW = f"{NOBODY_KNOWS}: start anew with another REELS_APP_ID"

#: Why a table's position does not agree with the group's offset, and what is done about it.
GONE = "the group's offsets are gone; going on where the tables stand"
MOVED_BACK = (
    "the group's offsets were moved back, to what is counted already; going on where the tables "
    "stand"
)
BEYOND_END = "the group's offsets are beyond the end of the topic; going on where the tables stand"
MOVED_AHEAD = (
    "the group's offsets were moved ahead of where the tables stand; following them: the events "
    "between are left out"
)


class Start(NamedTuple):
    """Where to go on, and why that is not where the group's offset says (None: it is)."""

    offset: int
    note: str | None = None
    skipped: int = 0
    """Offsets that an operator has moved the group over."""


class Known(NamedTuple):
    """What is known about one partition of a source topic."""

    tp: TP
    table: TablePositions
    group: int | None
    """The group's offset."""
    is_claimed: bool
    """Whether the worker that claimed the partition last has written positions for its tables."""
    begin: int
    """Offset of the oldest record."""
    end: int
    """Offset behind the newest record."""
    topic_id: str
    """Empty when the brokers have none."""
    is_new: bool = False
    """Whether the group has read other sources of the table, and this one never: it is one that
    the release before did without."""

    def start(self) -> Start:
        """Return where to go on.

        Raises:
            PositionError: nobody can say.
        """
        positions = self.table.positions
        if positions and self.tp.topic in positions:
            return self._by_table(positions[self.tp.topic])
        if self.group is not None:
            return Start(self._by_group(self.group))
        if positions is not None and not positions and not self.is_new:
            raise PositionError(
                f"the group's offset for {self._name} is gone, and {self.table.changelog} was "
                f"written by a release that kept offsets with the group only. {SET_OFFSETS}"
            )
        return Start(self.begin)

    def _by_table(self, table: Position) -> Start:
        at, group = table.offset, self.group
        if table.topic_id and self.topic_id and table.topic_id != self.topic_id:
            raise PositionError(
                f"topic {self.tp.topic} has the id {self.topic_id}, the tables were built from one "
                f"with the id {table.topic_id}: it was made anew, or this is another cluster. Go "
                "back to that topic, or start anew with another REELS_APP_ID"
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
                f"{self.table.changelog} is empty: it was deleted, or made anew. Write it anew "
                "from a worker's disk with `faust -A app restore-changelog`, or start anew with "
                "another REELS_APP_ID"
            )
        if group > self.end:
            raise beyond_end(self.tp, group, self.end, SET_OFFSETS)
        return group

    def describe(self) -> str:
        """Return where the group and the table stand."""
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
            thread: the consumer's.
            sleep: ends early when the worker does.
            writes_positions: whether a worker that a group's offset names has written positions
                for the tables that it claimed.
        """
        self._thread = thread
        self._sleep = sleep
        self._writes_positions = writes_positions
        # An alert finds its series before the first of them.
        for reason in ("moved", "deleted"):
            metrics.events_skipped.labels(reason)

    async def starts(self, tables: Mapping[TP, TablePositions]) -> dict[TP, Position]:
        """Return where to go on in each source topic, as the table that it feeds says.

        Raises:
            PositionError: nobody can say, as a topic was made anew, or has lost records.
        """
        _check_names(tables)
        known, starts = await self._judged(tables)
        notes: dict[str, list[str]] = defaultdict(list)
        for tp, start in starts.items():
            if start.note is not None:
                notes[start.note].append(known[tp].describe())
            metrics.events_skipped.labels("moved").inc(start.skipped)
        for note, places in notes.items():
            log.warning("%s (%s)", note, "; ".join(sorted(places)))
        return {
            tp: Position(first_kept(tp, start.offset, known[tp].begin), known[tp].topic_id)
            for tp, start in starts.items()
        }

    async def _judged(
        self, tables: Mapping[TP, TablePositions]
    ) -> tuple[dict[TP, Known], dict[TP, Start]]:
        """Return what is known, and where to go on; what cannot be is looked at again."""
        attempt = 1
        while True:
            known = await self._known(tables)
            try:
                return known, {tp: each.start() for tp, each in known.items()}
            except PositionError:
                # A new leader may need a moment to know how far its log is committed.
                if attempt == LOOKS:
                    raise
            attempt += 1
            await self._sleep(LOOK_DELAY)

    async def _known(self, tables: Mapping[TP, TablePositions]) -> dict[TP, Known]:
        thread = self._thread
        stored = await thread.committed(tables)
        begins = await thread.earliest_offsets(*tables)
        ends = await thread.log_ends(tables)
        ids = await thread.topic_ids({tp.topic for tp in tables})
        read = {(table.changelog, tp.partition) for tp, table in tables.items() if tp in stored}
        return {
            tp: Known(
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
        """Return the workers that the group's offsets name in their metadata."""
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
            raise beyond_end(tp, at, ends[tp], START_ANEW)


def _check_names(tables: Mapping[TP, TablePositions]) -> None:
    """Refuse tables that were built from a topic which is no source any more."""
    sources: dict[tuple[str, int], set[str]] = defaultdict(set)
    for tp, table in tables.items():
        sources[table.changelog, tp.partition].add(tp.topic)
    for tp, table in tables.items():
        names = sources[table.changelog, tp.partition]
        for other in (table.positions or {}).keys() - names:
            raise PositionError(
                f"{table.changelog} was built from topic {other}, the settings say "
                f"{', '.join(sorted(names))}: set it back, or start anew with another REELS_APP_ID"
            )


def beyond_end(tp: TP, at: int, end: int, advice: str) -> PositionError:
    """Return the refusal of a position behind the end of its log, with what to do."""
    return PositionError(
        f"offset {at} of {tp.topic}-{tp.partition} is beyond the end of the topic, {end}: it was "
        f"made anew, or has lost records. {advice}"
    )


def first_kept(tp: TP, at: int, begin: int) -> int:
    """Return the later one of ``at`` and ``begin``; the events between are logged and counted."""
    if at < begin:
        log.error(
            "%s-%s: offsets %s to %s were deleted before they were read: those events are "
            "lost; going on at %s",
            *(tp.topic, tp.partition, at, begin - 1, begin),
        )
        metrics.events_skipped.labels("deleted").inc(begin - at)
    return max(at, begin)
