"""``faust -A app restore-changelog``: rewrite lost changelogs from this worker's disk.

Importing this module registers the command.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from faust.cli.base import AppCommand, option
from faust.types import TP

from commands.progress import ProgressBar
from commands.running import AGAIN, run_or_exit
from streaming.errors import StartError, TransactionFailedError
from streaming.kafka.metadata import Right
from streaming.kafka.rights import require_rights
from streaming.kafka.topic_specs import Role
from streaming.kafka.topics import admin_client, make_topics
from streaming.restore.rewriting import ChangelogWriter, Copy, RowVerdict
from tables.rocks import RocksStore

if TYPE_CHECKING:
    from streaming.runtime.app import App

_REFUSED = {RowVerdict.FOREIGN, RowVerdict.BEHIND}


class restore_changelog(AppCommand):  # noqa: N801 - the class's name is the command's
    """Rewrite changelogs that were deleted or lost records, from this worker's disk.

    Looks at each partition whose tables are in the data directory. If the changelog is another
    topic than the disk's copy came from, or ends before the copy, all rows of the disk are written
    to it. Stop all workers first, and run this once with the data directory of each. It may be
    killed and run again.
    """

    options: list[Any] = [  # noqa: RUF012 - as in Faust's commands
        option(
            "--even-behind",
            is_flag=True,
            help="Also write from a copy that disagrees with the group's offsets: later counts "
            "are lost.",
        ),
    ]

    def __init__(self, ctx: click.Context, *args: Any, even_behind: bool, **kwargs: Any) -> None:
        """Read the options."""
        super().__init__(ctx, *args)
        self._even_behind = even_behind

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run the command outside of a Faust worker: there is no app to start."""
        app = cast("App", self.app)
        texts = {TransactionFailedError: f"Kafka did not accept the records, {AGAIN}"}
        brokers = app.task_context.settings.broker_url
        sys.exit(self._print(run_or_exit(self._restore(app), brokers, texts=texts)))

    async def _restore(self, app: App) -> dict[TP, RowVerdict]:
        parts = app.task_context
        app.lock_data_directory()
        await _make_changelogs(app)
        copies = _copies(app)
        if not copies:
            raise StartError(
                f"there is no copy of a table in {app.conf.datadir}: choose the data directory of "
                "a worker with --datadir or APP_DATADIR"
            )
        try:
            with ProgressBar(quiet=self.quiet) as progress:
                writer = ChangelogWriter(parts.settings.app_id, parts.client_settings, progress)
                return await writer.run(copies, even_behind=self._even_behind)
        finally:
            for copy in copies:
                copy.store.close()

    def _print(self, verdicts: dict[TP, RowVerdict]) -> int:
        partitions: dict[tuple[str, RowVerdict], list[int]] = defaultdict(list)
        for tp, verdict in verdicts.items():
            partitions[tp.topic, verdict].append(tp.partition)
        for (topic, verdict), numbers in sorted(partitions.items(), key=lambda each: each[0][0]):
            where = ", ".join(map(str, sorted(numbers)))
            click.echo(f"{topic}, partitions {where}: {verdict.value}")
        return int(any(verdict in _REFUSED for verdict in verdicts.values()))


async def _make_changelogs(app: App) -> None:
    """Create missing changelogs. Raises StartError if the rights to write them are missing."""
    parts = app.task_context
    specs = [spec for spec in parts.topics if spec.role is Role.CHANGELOG]
    async with admin_client(parts.client_settings) as admin:
        await make_topics(admin, specs, parts.settings.replication_factor)
        await require_rights(
            admin,
            {spec.name: {Right.READ, Right.WRITE} for spec in specs},
            transactional_id=f"{parts.settings.app_id}-*",
        )


def _copies(app: App) -> list[Copy]:
    """Open the databases in the data directory that are not empty."""
    parts = app.task_context
    copies = []
    for table in parts.tables.values():
        for partition in range(parts.settings.partitions):
            path = table.data.path(partition)
            if not path.exists():
                continue
            store = RocksStore(path, table.memory)
            if store.offset is None:
                store.close()
            else:
                copies.append(Copy(TP(table.changelog_topic_name, partition), store))
    return copies
