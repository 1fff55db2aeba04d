"""``faust -A app worker``: Faust's worker with uvloop, ``--datadir`` and its own banner.

Importing this module replaces Faust's command.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from faust.cli import params
from faust.cli import worker as original
from faust.cli.base import option
from mode import loop

if TYPE_CHECKING:
    import asyncio

    from mode import ServiceT, Worker

    from streaming.runtime.app import App


class worker(original.worker):  # noqa: N801 - the class's name is the command's
    """Start worker instance for given app."""

    options: list[Any] = [  # noqa: RUF012 - as in Faust's commands
        *cast("list[Any]", original.worker.options),
        option(
            "--datadir",
            "-D",
            default=None,
            type=params.WritableDirectory,
            help="Where the worker keeps its tables (default: APP_DATADIR, or reels-data).",
        ),
    ]

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Run the worker, in uvloop's event loops unless others are chosen."""
        # A crash in compiled code leaves the stacks of all threads.
        faulthandler.enable()
        # Faust stores --loop in FAUST_LOOP. uvloop does not support Windows.
        if "FAUST_LOOP" not in os.environ and sys.platform != "win32":
            loop.use("uvloop")
        super().__call__(*args, **kwargs)

    def as_service(
        self,
        loop: asyncio.AbstractEventLoop,
        *args: Any,
        datadir: str | None = None,
        **kwargs: Any,
    ) -> ServiceT:
        """Return the app, with the data directory of the options."""
        if datadir is not None:
            self.app.conf.datadir = Path(datadir)
        return super().as_service(loop, *args, **kwargs)

    def _banner_data(self, worker: Worker) -> Any:
        """Return the banner's rows with the store RocksDB, which Faust does not know."""
        rows = super()._banner_data(worker)
        return [(name, "RocksDB" if name == "store" else value) for name, value in rows]

    def on_worker_created(self, worker: Worker) -> None:
        """Print the banner, unless log lines are JSON objects."""
        if cast("App", self.app).task_context.settings.log_format == "text":
            super().on_worker_created(worker)
