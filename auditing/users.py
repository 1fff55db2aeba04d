"""Recounts partitions of the input, and compares their users with the table."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from auditing.comparison import compare_users
from auditing.decoding import decoded
from auditing.errors import AuditError
from auditing.merging import Ahead, Copies, Merge
from auditing.recount import PartitionRecount, Refused, Spans, spans_of
from auditing.stored import read_partition
from models.errors import CodecError
from tables.users import NAME as USERS
from tables.users import user_layout, user_windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from auditing.merging import Arrival
    from auditing.parts import Names, Progress, SpillStore
    from auditing.reading import Topics
    from auditing.recount import Span
    from auditing.refused import RefusedEvents
    from auditing.report import Report
    from auditing.summed import Sums
    from settings import Settings
    from tables.layout import Position


class Judged(NamedTuple):
    """A partition to recount."""

    partition: int
    sums_hold: Spans
    """Offsets in the tables of sums."""
    begin_ms: int
    """The event time from which on its counts are judged."""


class UsersAudit:
    """The audit of users; it counts the events of sums on the way."""

    def __init__(
        self,
        settings: Settings,
        topics: Topics,
        names: Names,
        sums: Sequence[Sums],
        progress: Progress,
        spill: SpillStore,
    ) -> None:
        """Count nothing yet; ``sums`` receive the counts of other keys, one per table."""
        self._settings = settings
        self._topics = topics
        self._names = names
        self._sums = sums
        self._progress = progress
        self._spill = spill
        self._windows = user_windows(settings)

    async def run(
        self,
        partitions: Iterable[Judged],
        gone: Iterator[tuple[int, Arrival]],
        refused: RefusedEvents,
        report: Report,
    ) -> None:
        """Recount ``partitions``, in ascending order, and add the result to ``report``.

        Arguments:
            partitions: the partitions.
            gone: passed-on events without a copy, each with its user's partition, in that order.
            refused: the events that were ahead of the clock; they are read on.
            report: receives the result.
        """
        missing = Ahead(gone)
        for each in partitions:
            await self._count(each, _of_home(missing, each.partition), refused, report)

    async def _count(
        self, judged: Judged, gone: Iterator[Arrival], refused: RefusedEvents, report: Report
    ) -> None:
        names, topics, partition = self._names, self._topics, judged.partition
        sure = await self._committed()
        found = self._spill.new_map("users")
        layout = user_layout(self._windows, partitions=self._settings.partitions)
        stored = await read_partition(*(topics, names.changelogs[USERS], partition), found, layout)
        most = await self._committed()
        begin = (await topics.begins(names.events))[partition]
        await refused.read()
        users = spans_of(partition, sure, most)
        _check_group(f"{names.events}-{partition}", stored.positions.get(names.events), users.input)
        copies = await self._copies(partition, users.passed_on.most)

        merge = Merge(chain(gone, copies.unnamed()), copies.named())
        recount = PartitionRecount(
            *(partition, self._settings, self._windows, self._sums),
            Refused(*(refused.of(each)[partition] for each in (names.events, names.repartition))),
            (users, judged.sums_hold),
            *(self._spill.new_map("sure-users"), self._spill.new_map("changed-users")),
            None if merge.is_known else self._spill.new_map("repeated-users"),
        )
        async for records in topics.read(names.events, partition, begin, users.input.most):
            for record, event, home in decoded(records, self._settings.partitions):
                report.records += 1 + recount.fold_passed_on(merge.before(record))
                recount.add(record.offset, event, home)
            self._progress.advance(len(records))
        report.records += recount.fold_passed_on(merge.after_all())
        report.outcomes += recount.outcomes
        times = [time for time in (stored.stream_time, recount.stream_time) if time is not None]
        if times:
            compared = compare_users(
                found,
                self._windows.in_units(stored.unit),
                recount,
                self._windows,
                max(times),
                judged.begin_ms,
            )
            report.take("users", compared)
        recount.close()
        for values in (found, copies.values):
            values.close()

    async def _committed(self) -> tuple[dict[int, int], dict[int, int]]:
        return await committed(self._topics, self._names)

    async def _copies(self, partition: int, end: int) -> Copies:
        """Return the events passed on to a partition, up to ``end``, with their order."""
        names, topics = self._names, self._topics
        copies = Copies(self._spill.new_map("copies"))
        begin = (await topics.begins(names.repartition))[partition]
        async for records in topics.read(names.repartition, partition, begin, end):
            copies.add(records)
        order: list[bytes | None] = []
        begin = (await topics.begins(names.order))[partition]
        end = (await topics.ends(names.order))[partition]
        async for records in topics.read(names.order, partition, begin, end):
            order += [record.value for record in records]
        try:
            copies.set_order(order, is_whole=begin == 0)
        except CodecError as exc:
            raise AuditError(f"topic {names.order}, partition {partition}: {exc}") from exc
        return copies


async def committed(topics: Topics, names: Names) -> tuple[dict[int, int], dict[int, int]]:
    """Return the group's offsets in the input and in the repartition topic, by partition."""
    return await topics.committed(names.events), await topics.committed(names.repartition)


def _check_group(name: str, table: Position | None, group: Span) -> None:
    """Refuse group offsets behind the table, because the recount ends with them.

    Events between the table and offsets ahead of it are missing in the table: a difference.
    """
    if table is not None and group.most < table.offset:
        raise AuditError(
            f"the group's offset for {name} is {group.most}, but the table's position is "
            f"{table.offset}: the offset expired or was moved back. Start a worker once: it sets it"
        )


def _of_home(gone: Ahead[tuple[int, Arrival]], home: int) -> Iterator[Arrival]:
    """Yield the events of ``gone`` for one partition; events of earlier ones are consumed."""
    while (head := gone.head) is not None and head[0] <= home:
        owner, arrival = gone.pop()
        if owner == home:
            yield arrival
