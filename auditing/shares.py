"""Shares of an audit: partitions that a process of its own recounts, to use more cores.

The process that runs the audit writes each share into a folder. Another one recounts it, and leaves
its report and its sums there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from auditing.parts import SpillStore
from auditing.passed_on import gone_in
from auditing.refused import RefusedEvents
from auditing.report import Report
from auditing.spill_map import SpillMap
from auditing.summed import JoinedSums, Sums
from auditing.users import Judged, UsersAudit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from auditing.parts import Names, Progress
    from auditing.reading import Topics
    from auditing.summed import SummedTable
    from settings import Settings

SHARE, REPORT = "share.json", "report.json"


class Share(msgspec.Struct, frozen=True):
    """A share."""

    partitions: list[Judged]
    memory: int
    """Bytes for counts."""
    gone: str
    """Folder with the passed-on events without a copy."""

    def write(self, folder: Path) -> None:
        """Write it into a new folder."""
        folder.mkdir()
        (folder / SHARE).write_bytes(msgspec.json.encode(self))


class RunShares(Protocol):
    """Recounts the shares in folders, each in a process of its own."""

    async def __call__(self, folders: Sequence[Path], progress: Progress) -> None:
        """Return when all of them are done; raise AuditError if one cannot be recounted."""


async def count_share(
    folder: Path,
    settings: Settings,
    topics: Topics,
    names: Names,
    tables: Sequence[SummedTable],
    progress: Progress,
) -> None:
    """Recount the share in ``folder``; arguments as of :func:`auditing.audit.audit`.

    Raises:
        AuditError: the comparison is impossible.
    """
    share = msgspec.json.decode((folder / SHARE).read_bytes(), type=Share)
    spill = SpillStore(folder, share.memory, tables)
    sums = [Sums(each, spill.new_map(each.sums_kind)) for each in tables]
    report = Report()
    users = UsersAudit(settings, topics, names, sums, progress, spill)
    refused = RefusedEvents(topics, names.dead_letters, report)
    await users.run(share.partitions, gone_in(share.gone), refused, report)
    for each in sums:
        each.stored().keep()
    (folder / REPORT).write_bytes(report.packed())


def collect(
    folders: Sequence[Path], tables: Sequence[SummedTable], report: Report
) -> list[JoinedSums]:
    """Add the reports of recounted shares to ``report``, and return their sums, one per table."""
    for folder in folders:
        report.add(Report.read((folder / REPORT).read_bytes()))
    return [
        JoinedSums([Sums(table, SpillMap.kept(folder / table.sums_kind)) for folder in folders])
        for table in tables
    ]
