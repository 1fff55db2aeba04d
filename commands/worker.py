"""``faust -A app worker``: Faust's own, but for its banner among logs for programs.

Importing this module puts it in the place of Faust's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from faust.cli import worker as original

if TYPE_CHECKING:
    from mode import Worker

    from streaming.app import App


class worker(original.worker):  # noqa: N801 - the class's name is the command's
    """Start worker instance for given app."""

    def on_worker_created(self, worker: Worker) -> None:
        """Print the banner, unless each line is to be a JSON object."""
        if cast("App", self.app).task_parts.settings.log_format == "text":
            super().on_worker_created(worker)
