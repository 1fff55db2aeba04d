"""One audit, from start to report."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import TYPE_CHECKING, NamedTuple

from auditing.comparison import compare_sums
from auditing.errors import AuditError
from auditing.parts import SpillStore
from auditing.passed_on import Input, PassedOn, Replayed
from auditing.recount import spans_of
from auditing.refused import RefusedEvents
from auditing.report import Report
from auditing.shares import Share, collect
from auditing.stored import StoredTables
from auditing.summed import Sums
from auditing.users import Judged, UsersAudit, committed
from models.windows import to_iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditing.parts import Names, Progress
    from auditing.reading import Topics
    from auditing.shares import RunShares
    from auditing.summed import JoinedSums, SummedTable
    from settings import Settings

__all__ = ["AuditError", "Processes", "Report", "audit"]

#: Reject reasons whose events may count when they are replayed.
REPLAYED = ("late", "future_timestamp")

#: Records for which another process pays off: it takes a second or two to start.
RECORDS_PER_PROCESS = 1_000_000


class Processes(NamedTuple):
    """Processes that recount the input."""

    number: int
    are_chosen: bool
    """Whether to use them for a small input, too."""
    run: RunShares


async def audit(
    settings: Settings,
    topics: Topics,
    names: Names,
    tables: Sequence[SummedTable],
    progress: Progress,
    memory: int,
    processes: Processes | None = None,
) -> Report:
    """Recount the input and compare.

    Arguments:
        settings: the settings of the workers.
        topics: reads the topics.
        names: names of the topics.
        tables: the tables of sums.
        progress: receives the progress.
        memory: bytes for counts; the rest goes to a temporary folder.
        processes: recount users beside this process, which does it alone without them.

    Raises:
        AuditError: the comparison is impossible.
    """
    with TemporaryDirectory(prefix="reels-audit-") as folder:
        return await _Audit(
            settings, topics, names, tables, progress, memory, Path(folder), processes
        ).run()


class _Audit:
    def __init__(
        self,
        settings: Settings,
        topics: Topics,
        names: Names,
        tables: Sequence[SummedTable],
        progress: Progress,
        memory: int,
        folder: Path,
        processes: Processes | None,
    ) -> None:
        self._memory = memory
        self._folder = folder
        self._spill = SpillStore(folder, memory, tables)
        self._settings = settings
        self._topics = topics
        self._names = names
        self._progress = progress
        self._tables = tables
        self._processes = processes
        self._report = Report()
        self._refused = RefusedEvents(topics, names.dead_letters, self._report)
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
        sure = await committed(topics, names)
        stored = StoredTables(topics, names, self._report, self._progress)
        complete = [await stored.wait_for_deltas(table) for table in self._tables]
        found = [
            await stored.read(table, self._spill.new_map(table.kind), self._settings.partitions)
            for table in self._tables
        ]
        most = await committed(topics, names)
        passed_on = await self._find_passed_on(most[0])
        judged = [
            Judged(n, spans_of(n, sure, most), self._first_judged(n, passed_on)) for n in partitions
        ]
        records = sum(max(0, most[0][n] - self._input_begins[n]) for n in partitions)
        self._progress.begin(f"events of {names.events}", records)
        sums = await self._audit_users(judged, passed_on, records)
        passed_on.close()
        judged_from = max(each.begin_ms for each in judged)
        for table, says, counted, whole in zip(self._tables, found, sums, complete, strict=True):
            compared = compare_sums(says, counted, judged_from, complete=whole)
            self._report.take(table.kind, compared)
            says.values.close()
            counted.close()
        return self._report

    async def _audit_users(
        self, judged: Sequence[Judged], passed_on: PassedOn, records: int
    ) -> Sequence[Sums | JoinedSums]:
        """Recount all partitions, here or in other processes; return the sums of each table."""
        processes = self._processes
        count = 1
        if processes is not None:
            worth = len(judged) if processes.are_chosen else records // RECORDS_PER_PROCESS
            count = max(1, min(processes.number, worth, len(judged)))
        if processes is None or count == 1:
            sums = [Sums(each, self._spill.new_map(each.sums_kind)) for each in self._tables]
            users = UsersAudit(
                *(self._settings, self._topics, self._names, sums, self._progress, self._spill)
            )
            await users.run(judged, passed_on.gone(), self._refused, self._report)
            return sums
        gone = str(passed_on.keep_gone())
        folders = [self._folder / f"share-{number}" for number in range(count)]
        for number, folder in enumerate(folders):
            Share(list(judged[number::count]), self._memory // count, gone).write(folder)
        await processes.run(folders, self._progress)
        return collect(folders, self._tables, self._report)

    async def _find_passed_on(self, ends: dict[int, int]) -> PassedOn:
        """Find events before ``ends`` in a wrong partition that have no copy."""
        names, topics, report = self._names, self._topics, self._report
        await self._refused.read()
        self._input_begins = await topics.begins(names.events)
        self._copies_begin = await topics.begins(names.repartition)
        refused = self._refused.of(names.events)
        source = Input(names.events, self._input_begins, ends, refused)
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

    def _first_judged(self, partition: int, passed_on: PassedOn) -> int:
        """Return the first event time that no deleted event can affect.

        Deleted events were sent before the oldest record that is left, or before now if none is
        left in the partition. They were ahead of the clock by at most the skew, and may have made
        later events duplicates within the horizon. Deleted events of other partitions matter as
        well once their copies may be deleted; without a record, those were sent before all others.
        """
        settings, now = self._settings, round(time() * 1000)
        step = max(settings.user_step, settings.video_step)
        of = [partition] if self._copies_begin[partition] == 0 else list(self._input_begins)
        none = {n: now if n == partition else 0 for n in of}
        cut = [(passed_on.oldest.get(n, none[n]), n) for n in of if self._input_begins[n]]
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
