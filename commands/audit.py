"""``faust -A app audit``: check the tables against the input topic.

Importing this module registers the command.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from faust.cli.base import AppCommand, option

from auditing import Processes, Report
from auditing import audit as make_audit
from auditing.errors import FullFolderError
from auditing.parts import Names
from auditing.reading import open_topics
from auditing.report import KEPT_DIFFERENCES
from auditing.shares import count_share
from auditing.summed import SummedTable
from commands import shapes
from commands.audit_processes import AuditProcesses, ShareProgress, processes_for
from commands.progress import ProgressBar
from commands.running import run_or_exit
from models.schema import OUTCOMES
from models.windows import to_iso
from streaming.kafka.metadata import Right
from streaming.runtime.data_directory import NO_SPACE
from topology import topology

if TYPE_CHECKING:
    from streaming.runtime.app import App


class audit(AppCommand):  # noqa: N801 - the class's name is the command's
    """Recompute users, videos and creators from the input topic, and compare the tables.

    The tables are read from their changelog topics, so no worker needs to run. If workers run and
    events arrive, each count of a table must lie between what was committed before and after the
    table was read. The exit code is 1 if anything differs, and 2 if the audit cannot run. The audit
    does not judge what the input topic no longer holds; the report says so. Run it with the
    workers' settings and, if their code is changed, with their app (faust -A).
    """

    options: list[Any] = [  # noqa: RUF012 - as in Faust's commands
        option(
            "--show",
            type=click.IntRange(0, KEPT_DIFFERENCES),
            default=20,
            show_default=True,
            help="Number of differences to print; all are counted.",
        ),
        option(
            "--memory",
            type=click.IntRange(min=1),
            default=512,
            show_default=True,
            help="Memory for counts in MiB; the rest goes to a temporary folder (TMPDIR). Each "
            "process needs 100 MiB besides.",
        ),
        option(
            "--processes",
            type=click.IntRange(min=1),
            default=None,
            help="Processes that recount. Default: one per million records and 64 MiB of memory, "
            "up to the number of cores.",
        ),
        option("--share", type=click.Path(path_type=Path), default=None, hidden=True),
    ]

    def __init__(
        self,
        ctx: click.Context,
        *args: Any,
        show: int,
        memory: int,
        processes: int | None,
        share: Path | None,
        **kwargs: Any,
    ) -> None:
        """Read the options."""
        super().__init__(ctx, *args)
        self._show = show
        self._memory = memory << 20
        self._processes = processes
        self._share = share

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run the command outside of a Faust worker: there is no app to start."""
        app = cast("App", self.app)
        brokers = app.task_context.settings.broker_url
        report = run_or_exit(self._with_room(app), brokers, code=2)
        if report is not None:
            self._print(report)
        sys.exit(0 if report is None or report.is_clean else 1)

    async def _with_room(self, app: App) -> Report | None:
        try:
            return await self._run(app)
        except Exception as exc:
            # rocksdict raises a plain Exception for every error of RocksDB.
            if full := NO_SPACE.search(str(exc)):
                raise FullFolderError(full[0]) from exc
            raise

    async def _run(self, app: App) -> Report | None:
        """Audit; or recount a share of an audit, whose report goes to the share's folder."""
        parts = app.task_context
        settings = parts.settings
        names = Names(
            settings.events_topic,
            settings.repartition_topic,
            settings.order_topic,
            settings.dead_letter_topic,
            parts.deltas,
            {name: table.changelog_topic_name for name, table in parts.tables.items()},
        )
        summed = [
            SummedTable(entry.name, entry.windows, parts.tables[entry.name].layout)
            for entry in topology(settings)
            if entry.deltas is not None
        ]
        async with open_topics(parts.client_settings, settings.app_id) as topics:
            if self._share is not None:
                share, progress = self._share, ShareProgress(self._share)
                await count_share(share, settings, topics, names, summed, progress)
                return None
            await topics.require({name: {Right.READ} for name in names.all()})
            processes = None
            # Without -A there is no command to run in another process.
            if self.state.app:
                processes = Processes(
                    self._processes or processes_for(self._memory),
                    self._processes is not None,
                    AuditProcesses(self.state.app),
                )
            with ProgressBar(quiet=self.quiet) as bar:
                return await make_audit(
                    *(settings, topics, names, summed, bar, self._memory, processes)
                )

    def _print(self, report: Report) -> None:
        if self.json:
            shapes.print_json(self._as_json(report))
        elif not self.quiet:
            self._print_text(report)

    def _as_json(self, report: Report) -> shapes.Audit:
        compared = {
            kind: shapes.Compared(count, report.differing[kind])
            for kind, count in report.compared.items()
        }
        return shapes.Audit(
            **compared,
            clean=report.is_clean,
            records=report.records,
            outcomes={name: report.outcomes[name] for name in OUTCOMES},
            total_differences=report.total,
            differences=[
                shapes.DifferentCount(
                    each.what,
                    to_iso(each.start_ms),
                    each.counter,
                    each.found,
                    each.least,
                    each.most,
                )
                for each in report.differences[: self._show]
            ],
            notes=report.notes,
        )

    def _print_text(self, report: Report) -> None:
        for difference in report.differences[: self._show]:
            click.echo(str(difference))
        if report.total > self._show:
            click.echo(f"... {report.total:,} differences in all")
        for note in report.notes:
            click.echo(f"note: {note}")
        outcomes = ", ".join(f"{name} {report.outcomes[name]:,}" for name in OUTCOMES)
        click.echo(f"recounted {report.records:,} records: {outcomes}")
        width = max(map(len, report.compared)) + 1
        for kind, count in report.compared.items():
            title = f"{kind}:".ljust(width)
            click.echo(f"{title} {count:,} compared, {report.differing[kind]:,} differ")
