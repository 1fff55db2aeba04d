"""One audit, from start to report."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from auditing.comparison import compare_sums, compare_users
from auditing.dead_letters import number_of
from auditing.errors import AuditError
from auditing.merging import Ahead, Copies, Merge
from auditing.parts import SpillStore
from auditing.passed_on import Input, PassedOn, Replayed
from auditing.recount import PartitionRecount, Refused, Span, Spans
from auditing.report import Report
from auditing.stored import StoredTables, read_partition
from auditing.summed import Sums
from models.errors import CodecError
from models.windows import to_iso
from tables.users import NAME as USERS
from tables.users import user_layout, user_windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditing.merging import Arrival
    from auditing.parts import Names, Progress
    from auditing.reading import Topics
    from auditing.summed import SummedTable
    from settings import Settings
    from tables.layout import Position

__all__ = ["AuditError", "Report", "audit"]

#: Reject reasons whose events may count when they are replayed.
REPLAYED = ("late", "future_timestamp")


async def audit(
    settings: Settings,
    topics: Topics,
    names: Names,
    tables: Sequence[SummedTable],
    progress: Progress,
    memory: int,
) -> Report:
    """Recount the input and compare.

    Arguments:
        settings: the settings of the workers.
        topics: reads the topics.
        names: names of the topics.
        tables: the tables of sums.
        progress: receives the progress.
        memory: bytes for counts; the rest goes to a temporary folder.

    Raises:
        AuditError: the comparison is impossible.
    """
    with TemporaryDirectory(prefix="reels-audit-") as folder:
        spill = SpillStore(Path(folder), memory, tables)
        return await _Audit(settings, topics, names, tables, progress, spill).run()


class _Audit:
    def __init__(
        self,
        settings: Settings,
        topics: Topics,
        names: Names,
        tables: Sequence[SummedTable],
        progress: Progress,
        spill: SpillStore,
    ) -> None:
        self._spill = spill
        self._settings = settings
        self._topics = topics
        self._names = names
        self._progress = progress
        self._user_windows = user_windows(settings)
        self._tables = tables
        self._report = Report()
        self._refused: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        """Offsets of the events that were ahead of the clock, by topic and partition."""
        self._dead_letters_read: dict[int, int] = {}
        self._input_begins: dict[int, int] = {}
        self._copies_begin: dict[int, int] = {}

    async def run(self) -> Report:
        names, topics = self._names, self._topics
        partitions = await topics.partitions(names.events)
        if len(partitions) != self._settings.partitions:
            raise AuditError(
                f"topic {names.events} has {len(partitions)} partitions, but TOPIC_PARTITIONS is "
                f"{self._settings.partitions}: set it to the topic's number"
            )
        sure = await self._committed()
        stored = StoredTables(topics, names, self._report, self._progress)
        complete = [await stored.wait_for_deltas(table) for table in self._tables]
        found = [
            await stored.read(table, self._spill.new_map(table.kind), self._settings.partitions)
            for table in self._tables
        ]
        most = await self._committed()
        passed_on = await self._find_passed_on(most[0])
        gone = Ahead(passed_on.gone())

        sums = [Sums(each, self._spill.new_map(each.sums_kind)) for each in self._tables]
        judged_from = []
        for partition in partitions:
            spans = _spans(partition, sure, most)
            first = self._first_judged(partition, passed_on)
            judged_from.append(first)
            await self._audit_users(partition, spans, sums, first, _of_home(gone, partition))
        passed_on.close()
        for table, says, counted, whole in zip(self._tables, found, sums, complete, strict=True):
            compared = compare_sums(says, counted, max(judged_from), complete=whole)
            self._report.take(table.kind, compared)
            for values in (says.values, counted.values):
                values.close()
        return self._report

    async def _read_dead_letters(self) -> None:
        """Collect the committed dead letters of events that were ahead of the clock."""
        topic = self._names.dead_letters
        begins, ends = await self._topics.begins(topic), await self._topics.ends(topic)
        for partition, end in ends.items():
            start = max(begins[partition], self._dead_letters_read.get(partition, 0))
            self._dead_letters_read[partition] = end
            async for records in self._topics.read(topic, partition, start, end):
                for record in records:
                    headers = dict(record.headers)
                    if headers.get("reason") == b"future_timestamp":
                        source = number_of(headers, "source.partition")
                        offset = number_of(headers, "source.offset")
                        if source is None or offset is None:
                            self._report.notes.append(
                                f"the record at offset {record.offset} of {topic}-{partition} is "
                                "not a worker's dead letter: skipped"
                            )
                        else:
                            name = headers.get("source.topic", b"").decode(errors="replace")
                            self._refused[name][source].add(offset)

    async def _committed(self) -> tuple[dict[int, int], dict[int, int]]:
        """Return the group's offsets in the input and in the repartition topic."""
        names, committed = self._names, self._topics.committed
        return await committed(names.events), await committed(names.repartition)

    async def _find_passed_on(self, ends: dict[int, int]) -> PassedOn:
        """Find events before ``ends`` in a wrong partition that have no copy."""
        names, topics, report = self._names, self._topics, self._report
        await self._read_dead_letters()
        self._input_begins = await topics.begins(names.events)
        self._copies_begin = await topics.begins(names.repartition)
        source = Input(names.events, self._input_begins, ends, self._refused[names.events])
        replayed = Replayed(
            names.dead_letters,
            {each.encode(): await topics.replayed(names.dead_letters, each) for each in REPLAYED},
            (names.events.encode(), names.repartition.encode()),
        )
        passed_on = PassedOn(topics, source, replayed, self._spill.new_map)
        self._progress.begin("events in the wrong partition", 1)
        if missing := await passed_on.find(names.repartition):
            report.notes.append(
                f"{missing} events that lay in the wrong partition or were replayed have no copy "
                f"in {names.repartition} (any more). The audit counts each as if it had reached "
                "its partition when it was sent, and does not judge whether an id that was "
                "repeated there came within the horizon"
            )
        self._progress.advance(1)
        return passed_on

    async def _copies(self, partition: int, end: int) -> Copies:
        """Return the events passed on to a partition, up to ``end``, with their order."""
        names, topics = self._names, self._topics
        copies, begin = Copies(self._spill.new_map("copies")), self._copies_begin[partition]
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

    async def _audit_users(
        self,
        partition: int,
        summed: Spans,
        sums: Sequence[Sums],
        judged_from: int,
        gone: Iterator[Arrival],
    ) -> None:
        """Recount a partition and compare its users."""
        names, topics, report = self._names, self._topics, self._report
        sure = await self._committed()
        found, layout = (
            self._spill.new_map("users"),
            user_layout(self._user_windows, partitions=self._settings.partitions),
        )
        stored = await read_partition(*(topics, names.changelogs[USERS], partition), found, layout)
        as_of, positions = stored.stream_time, stored.positions
        most = await self._committed()
        begin = (await topics.begins(names.events))[partition]
        await self._read_dead_letters()
        users = _spans(partition, sure, most)
        _check_group(f"{names.events}-{partition}", positions.get(names.events), users.input)
        copies = await self._copies(partition, users.passed_on.most)

        merge = Merge(chain(gone, copies.unnamed()), copies.named())
        recount = PartitionRecount(
            *(partition, self._settings, self._user_windows, sums),
            Refused(
                *(self._refused[each][partition] for each in (names.events, names.repartition))
            ),
            (users, summed),
            *(self._spill.new_map("sure-users"), self._spill.new_map("changed-users")),
            None if merge.is_known else self._spill.new_map("repeated-users"),
        )
        end = users.input.most
        self._progress.begin(f"events of partition {partition}", end - begin)
        async for records in topics.read(names.events, partition, begin, end):
            for record in records:
                report.records += 1 + recount.fold_passed_on(merge.before(record))
                recount.add(record)
            self._progress.advance(len(records))
        report.records += recount.fold_passed_on(merge.after_all())
        report.outcomes += recount.outcomes
        times = [time for time in (as_of, recount.stream_time) if time is not None]
        if times:
            report.take(
                "users",
                compare_users(
                    found,
                    self._user_windows.in_units(stored.unit),
                    *(recount, self._user_windows, max(times), judged_from),
                ),
            )
        recount.close()
        for values in (found, copies.values):
            values.close()

    def _first_judged(self, partition: int, passed_on: PassedOn) -> int:
        """Return the first event time that no deleted event can affect.

        Deleted events were sent before the oldest record that is left, were ahead of the clock by
        at most the skew, and may have made later events duplicates within the horizon. Deleted
        events of other partitions matter as well once their copies may be deleted.
        """
        settings = self._settings
        step = max(settings.user_step, settings.video_step)
        of = [partition] if self._copies_begin[partition] == 0 else list(self._input_begins)
        cut = [
            (passed_on.oldest[n], n) for n in of if self._input_begins[n] and n in passed_on.oldest
        ]
        if not cut:
            return 0
        oldest, number = max(cut)
        judged_from = oldest + settings.max_future_skew + settings.dedup_horizon
        judged_from = -(-judged_from // step) * step
        self._report.notes.append(
            f"partition {partition}: the input before offset {self._input_begins[number]} "
            f"{'' if number == partition else f'of partition {number} '}was deleted: counts "
            f"before {to_iso(judged_from)} are not judged"
        )
        return judged_from


def _check_group(name: str, table: Position | None, group: Span) -> None:
    """Refuse group offsets behind the table, because the recount ends with them.

    Events between the table and offsets ahead of it are missing in the table: a difference.
    """
    if table is not None and group.most < table.offset:
        raise AuditError(
            f"the group's offset for {name} is {group.most}, but the table's position is "
            f"{table.offset}: the offset expired or was moved back. Start a worker once: it sets it"
        )


def _spans(
    partition: int,
    sure: tuple[dict[int, int], dict[int, int]],
    most: tuple[dict[int, int], dict[int, int]],
) -> Spans:
    return Spans(*(Span(s[partition], m[partition]) for s, m in zip(sure, most, strict=True)))


def _of_home(gone: Ahead[tuple[int, Arrival]], home: int) -> Iterator[Arrival]:
    """Yield the events of ``gone`` for one partition; events of earlier ones are consumed."""
    while (head := gone.head) is not None and head[0] == home:
        yield gone.pop()[1]
