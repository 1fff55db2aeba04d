"""``faust -A app export``: write the metrics of all keys at one time to files.

Importing this module registers the command.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from faust.cli.base import AppCommand, argument, option

from commands.progress import ProgressBar
from commands.running import run_or_exit
from exporting.errors import ExportError
from exporting.export import Exporter
from exporting.writers import Format
from models.counters import ENTITIES
from models.windows import from_iso, to_iso
from topology import topology

if TYPE_CHECKING:
    from exporting.export import Result
    from streaming.runtime.app import App


class export(AppCommand):  # noqa: N801 - the class's name is the command's
    """Write every key's committed metrics at one time to files.

    TABLE is users, videos or creators. The command reads the changelog topics: no worker needs to
    run, and none is disturbed. It writes one file per partition; all appear at the end, or none.
    """

    options: list[Any] = [  # noqa: RUF012 - as in Faust's commands
        argument("table", type=click.Choice([each.plural for each in ENTITIES])),
        option(
            "--format",
            "kind",
            type=click.Choice([each.value for each in Format]),
            default=Format.PARQUET.value,
            show_default=True,
            help="parquet and arrow need pyarrow (the extra `arrow`).",
        ),
        option(
            "--out",
            type=click.Path(file_okay=False, path_type=Path),
            required=True,
            help="Folder for the files; created if it is missing.",
        ),
        option("--at", default=None, help="RFC 3339; default: the latest stream time."),
        option(
            "--window",
            default=None,
            help="For users and creators: a multiple of the step, such as 1h.",
        ),
    ]

    def __init__(
        self,
        ctx: click.Context,
        *args: Any,
        table: str,
        kind: str,
        out: Path,
        at: str | None,
        window: str | None,
        **kwargs: Any,
    ) -> None:
        """Read the options."""
        super().__init__(ctx, *args)
        self._table, self._kind, self._out = table, Format(kind), out
        self._at, self._window = at, window

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run the command outside of a Faust worker: there is no app to start."""
        app = cast("App", self.app)
        begun = monotonic()
        result = run_or_exit(self._export(app), app.task_context.settings.broker_url)
        self._print(result, monotonic() - begun)
        sys.exit(0)

    async def _export(self, app: App) -> Result:
        parts, at = app.task_context, self._time()
        entries = {each.entity.plural: each for each in topology(parts.settings)}
        entry = entries.get(self._table)
        if entry is None:
            raise ExportError(
                f"this app keeps no table of {self._table}: REELS_{self._table.upper()} is off"
            )
        table = parts.tables[entry.name]
        source = entry.exported.source(parts.settings, self._table, table, self._window)
        with ProgressBar(quiet=self.quiet) as progress:
            exporter = Exporter(source, parts.client_settings, progress)
            return await exporter.run(self._out, self._kind, at)

    def _time(self) -> int | None:
        try:
            return None if self._at is None else from_iso(self._at)
        except ValueError as exc:
            raise ExportError(
                "--at must be an RFC 3339 time with a zone, such as 2025-01-15T14:30:45.123Z: "
                f"{exc}"
            ) from exc

    def _print(self, result: Result, seconds: float) -> None:
        at = "an empty table" if result.at is None else f"as of {to_iso(result.at)}"
        click.echo(
            f"{self._table}: {result.rows:,} rows, {at}, in {result.files} files in {self._out} "
            f"({seconds:.1f} s, {result.rows / max(seconds, 1e-9):,.0f} rows/s)"
        )
