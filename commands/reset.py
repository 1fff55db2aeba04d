"""``faust -A app reset``: delete this worker's copies of all tables.

Importing this module registers the command, in place of Faust's, which deletes them under a running
worker.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn, cast

from faust.cli.reset import reset as faust_reset

from commands.running import run_or_exit

if TYPE_CHECKING:
    from streaming.runtime.app import App


class reset(faust_reset):  # noqa: N801 - the class's name is the command's
    """Delete the copies of all tables in the data directory; no worker may use it.

    The next start restores them from the changelogs.
    """

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run the command outside of a Faust worker: there is no app to start."""
        run_or_exit(self.run(), cast("App", self.app).task_context.settings.broker_url)
        sys.exit(0)

    async def run(self) -> None:
        """Lock the data directory, then delete."""
        cast("App", self.app).lock_data_directory()
        await super().run()
