"""An audit from begin to end, and the report that comes of it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

import msgspec

from auditing.comparison import Difference, compare_users, compare_videos
from auditing.errors import AuditError
from auditing.recount import PartitionRecount, Span, VideoSums
from auditing.values import Values
from models.windows import to_iso
from tables.layout import LayoutError
from tables.users import user_layout, user_windows
from tables.videos import video_layout, video_windows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auditing.reading import Topics
    from settings import Settings
    from tables.layout import Layout

__all__ = ["AuditError", "Names", "Report", "audit"]

#: Differences that a report keeps; all are counted.
KEPT_DIFFERENCES = 1000

#: What is counted or read of a table at the same time.
KINDS = ("videos", "video-sums", "users", "sure-users", "changed-users")

#: Seconds that workers get to apply the video deltas that are there, and between two looks.
DELTAS_PATIENCE, DELTAS_POLL = 10.0, 0.25


class Names(msgspec.Struct, frozen=True):
    """The topics that an audit reads."""

    events: str
    deltas: str
    dead_letters: str
    user_changelog: str
    video_changelog: str


class Progress(Protocol):
    """Is told how far the audit is, in records."""

    def begin(self, what: str, total: int) -> None:
        """Say what is done next."""

    def advance(self, count: int) -> None:
        """Say how much of it was done since."""


@dataclass
class Report:
    """What was compared, and what differs."""

    records: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    users: int = 0
    videos: int = 0
    differing: Counter[str] = field(default_factory=Counter)
    """Users and videos with a difference."""
    differences: list[Difference] = field(default_factory=list)
    """The first ones, up to KEPT_DIFFERENCES."""
    total: int = 0
    """All differences."""
    notes: list[str] = field(default_factory=list)
    """What could not be judged, and why."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing differs."""
        return not self.differing

    def take(self, kind: str, compared: Iterable[list[Difference]]) -> int:
        """Note the differences of users or videos, and return how many of those were compared."""
        count = 0
        for differences in compared:
            count += 1
            if differences:
                self.total += len(differences)
                self.differing[kind] += 1
                self.differences += differences[: KEPT_DIFFERENCES - len(self.differences)]
        return count


async def audit(
    settings: Settings, topics: Topics, names: Names, progress: Progress, memory: int
) -> Report:
    """Recount the input and compare.

    Arguments:
        settings: those that the workers run with.
        topics: to be read.
        names: which they are.
        progress: is told how far this is.
        memory: bytes for what is counted; what is beyond that goes to a temporary folder.

    Raises:
        AuditError: there is nothing to compare.
    """
    with TemporaryDirectory(prefix="reels-audit-") as folder:
        return await _Audit(settings, topics, names, progress, Shelf(Path(folder), memory)).run()


class Shelf:
    """Gives each kind of values its share of the memory."""

    def __init__(self, folder: Path, memory: int) -> None:
        """Share ``memory`` bytes among :data:`KINDS`; the rest goes to ``folder``."""
        self._folder = folder
        self._limit = memory // len(KINDS)

    def values(self, kind: str) -> Values:
        """Return empty values of a kind."""
        return Values(self._folder / kind, self._limit)


class _Audit:
    def __init__(
        self, settings: Settings, topics: Topics, names: Names, progress: Progress, shelf: Shelf
    ) -> None:
        self._shelf = shelf
        self._settings = settings
        self._topics = topics
        self._names = names
        self._progress = progress
        self._user_windows = user_windows(settings)
        self._video_windows = video_windows(settings)
        self._report = Report()
        self._refused: dict[int, set[int]] = defaultdict(set)
        """Offsets of the events that were ahead of the clock, by partition of the input."""
        self._dead_letters_read: dict[int, int] = {}

    async def run(self) -> Report:
        names, topics = self._names, self._topics
        partitions = await topics.partitions(names.events)
        if len(partitions) != self._settings.partitions:
            raise AuditError(
                f"topic {names.events} has {len(partitions)} partitions, TOPIC_PARTITIONS says "
                f"{self._settings.partitions}"
            )
        sure = await topics.committed(names.events)
        complete = await self._wait_for_deltas()
        found, times = await self._video_table()
        most = await topics.committed(names.events)

        sums = VideoSums(self._shelf.values("video-sums"))
        judged_from = []
        for partition in partitions:
            span = Span(sure[partition], most[partition])
            judged_from.append(await self._audit_users(partition, span, sums))
        compared = compare_videos(
            *(found, sums, self._video_windows, times, max(judged_from)), complete=complete
        )
        self._report.videos = self._report.take("videos", compared)
        for values in (found, sums.values):
            values.close()
        return self._report

    async def _read_dead_letters(self) -> None:
        """Note which events were ahead of the clock when they were read, as far as is committed."""
        topic = self._names.dead_letters
        begins, ends = await self._topics.begins(topic), await self._topics.ends(topic)
        for partition, end in ends.items():
            start = max(begins[partition], self._dead_letters_read.get(partition, 0))
            self._dead_letters_read[partition] = end
            async for records in self._topics.read(topic, partition, start, end):
                for record in records:
                    headers = dict(record.headers)
                    if headers.get("reason") == b"future_timestamp":
                        source = int(headers["source.partition"])
                        self._refused[source].add(int(headers["source.offset"]))

    async def _wait_for_deltas(self) -> bool:
        """Wait until the videos have what their users' partitions have sent; or say that not."""
        topic = self._names.deltas
        ends = await self._topics.ends(topic)
        deadline = asyncio.get_running_loop().time() + DELTAS_PATIENCE
        while waiting := await self._unread(topic, ends):
            if asyncio.get_running_loop().time() >= deadline:
                self._report.notes.append(
                    f"{waiting} video deltas are not applied yet: does no worker run? Videos are "
                    "only checked for counts that are too high"
                )
                return False
            await asyncio.sleep(DELTAS_POLL)
        return True

    async def _unread(self, topic: str, ends: dict[int, int]) -> int:
        committed, begins = await self._topics.committed(topic), await self._topics.begins(topic)
        count = 0
        for partition, end in ends.items():
            start = max(committed[partition], begins[partition])
            # Offsets alone do not tell: transactions leave markers behind the last record.
            async for records in self._topics.read(topic, partition, start, end):
                count += len(records)
        return count

    async def _video_table(self) -> tuple[Values, dict[int, int]]:
        """Return all videos, and the stream time of each of their partitions."""
        found = self._shelf.values("videos")
        times: dict[int, int] = {}
        self._progress.begin("table of videos", self._settings.partitions)
        layout = video_layout(self._video_windows)
        for partition in range(self._settings.partitions):
            time = await self._fold(self._names.video_changelog, partition, found, layout)
            times[partition] = -1 if time is None else time
            self._progress.advance(1)
        return found, times

    async def _fold(self, topic: str, partition: int, values: Values, layout: Layout) -> int | None:
        """Put a table's partition into ``values``, and return its stream time."""
        stored = await self._topics.fold(topic, partition, values)
        try:
            return layout.stored_stream_time(topic, stored)
        except LayoutError as exc:
            raise AuditError(str(exc)) from exc

    async def _audit_users(self, partition: int, videos: Span, sums: VideoSums) -> int:
        """Recount a partition and compare its users; return the time from which that is judged."""
        names, topics, report = self._names, self._topics, self._report
        sure = (await topics.committed(names.events))[partition]
        found, layout = self._shelf.values("users"), user_layout(self._user_windows)
        as_of = await self._fold(names.user_changelog, partition, found, layout)
        most = (await topics.committed(names.events))[partition]
        begin = (await topics.begins(names.events))[partition]
        await self._read_dead_letters()

        recount = PartitionRecount(
            *(partition, self._settings, self._user_windows, sums, self._refused[partition]),
            *(self._shelf.values("sure-users"), self._shelf.values("changed-users")),
        )
        self._progress.begin(f"events of partition {partition}", most - begin)
        judged_from: int | None = None
        async for records in topics.read(names.events, partition, begin, most):
            recount.fold(records, Span(sure, most), videos)
            self._progress.advance(len(records))
            report.records += len(records)
            if judged_from is None and records:
                judged_from = self._judged_from(partition, begin, records[0].timestamp)
        report.outcomes += recount.outcomes
        times = [time for time in (as_of, recount.stream_time) if time is not None]
        if times:
            report.users += report.take(
                "users",
                compare_users(found, recount, self._user_windows, max(times), judged_from or 0),
            )
        for values in (found, recount.sure, recount.changed):
            values.close()
        return judged_from or 0

    def _judged_from(self, partition: int, begin: int, oldest: int) -> int:
        """Return the first event time that nothing which was deleted can have touched.

        What is gone was sent before the oldest record that is left, was not ahead of the clock by
        more than the skew, and could make later ones duplicates within the horizon.
        """
        if begin == 0:
            return 0
        settings = self._settings
        step = max(settings.user_step, settings.video_step)
        judged_from = oldest + settings.max_future_skew + settings.dedup_horizon
        judged_from = -(-judged_from // step) * step
        self._report.notes.append(
            f"partition {partition}: the input before offset {begin} was deleted; what happened "
            f"before {to_iso(judged_from)} is not judged"
        )
        return judged_from
