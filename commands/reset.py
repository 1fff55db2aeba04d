"""``faust -A app reset``: delete this worker's copies of all tables.

Importing this module registers the command, in place of Faust's, which deletes them under a running
worker.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

import click
from faust.cli.reset import reset as faust_reset

from streaming.errors import StartError

if TYPE_CHECKING:
    from streaming.runtime.app import App


class reset(faust_reset):  # noqa: N801 - the class's name is the command's
    """Delete the copies of all tables in the data directory; no worker may use it.

    The next start restores them from the changelogs.
    """

    async def run(self) -> None:
        """Lock the data directory, then delete."""
        try:
            cast("App", self.app).lock_data_directory()
        except StartError as exc:
            click.echo(f"error: {exc}", err=True)
            sys.exit(1)
        await super().run()
