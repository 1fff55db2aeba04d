"""The worker process: Faust's, but one that ends for a known reason says it in one line."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import faust

from streaming.runtime.floods import limit_floods
from streaming.runtime.quiet import QuietFilter

if TYPE_CHECKING:
    from streaming.ports import Ending


class EndingApp(Protocol):
    """An app that may find that it cannot go on."""

    worker: Ending
    given_up: str | None
    """Why, None as long as it goes on."""


class Worker(faust.Worker):
    """Exits with code 1 when the app has given up.

    Leans on ``mode.Worker`` of mode-streaming 0.7: ``_schedule_shutdown``, ``_sentinel_task``, and
    that ``execute_from_commandline`` ends with ``SystemExit``.
    """

    app: EndingApp

    def __init__(self, app: EndingApp, *args: Any, **kwargs: Any) -> None:
        """Take what :class:`faust.Worker` takes."""
        super().__init__(app, *args, **kwargs)
        app.worker = self

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """Leave out what says nothing, limit what floods the log, and do without Faust's spinner.

        It turns with every debug message, which are all made for that.
        """
        if level > logging.DEBUG:
            for handler in logger.handlers:
                handler.addFilter(QuietFilter())
        limit_floods(logger)
        self.spinner = None

    def end(self) -> None:
        """Stop in order, as at SIGTERM."""
        self._schedule_shutdown(signal.SIGTERM)

    async def _sentinel_task(self) -> None:
        """Let what was cancelled last end. mode's own sleeps for a second here, for nothing."""
        await asyncio.sleep(0)

    def execute_from_commandline(self) -> NoReturn:
        """Run until the end, and exit."""
        code: Any = 0
        try:
            super().execute_from_commandline()
        except SystemExit as exc:
            code = exc.code
        if self.app.given_up is not None:
            self.log.critical("error: %s", self.app.given_up)
            code = 1
        raise SystemExit(code)
