"""``faust -A app worker``: Faust's own, but for its event loops, and its banner among JSON.

Importing this module puts it in the place of Faust's.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, cast

from faust.cli import worker as original
from mode import loop

if TYPE_CHECKING:
    from mode import Worker

    from streaming.runtime.app import App


class worker(original.worker):  # noqa: N801 - the class's name is the command's
    """Start worker instance for given app."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Run it, in event loops of uvloop's unless others are chosen."""
        # Where Faust leaves --loop, too; there is no uvloop for Windows.
        if "FAUST_LOOP" not in os.environ and sys.platform != "win32":
            loop.use("uvloop")
        super().__call__(*args, **kwargs)

    def on_worker_created(self, worker: Worker) -> None:
        """Print the banner, unless each line is to be a JSON object."""
        if cast("App", self.app).task_context.settings.log_format == "text":
            super().on_worker_created(worker)
