"""Faust's worker process, which logs in one line why it gave up."""

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
    """An app that may give up."""

    worker: Ending
    given_up: str | None
    """Why it gave up, None if it did not."""


class Worker(faust.Worker):
    """A worker that exits with code 1 if the app gave up.

    Depends on ``mode.Worker`` of mode-streaming 0.7: on ``_schedule_shutdown``, ``_sentinel_task``,
    and the ``SystemExit`` of ``execute_from_commandline``.
    """

    app: EndingApp

    def __init__(self, app: EndingApp, *args: Any, **kwargs: Any) -> None:
        """Accept the arguments of :class:`faust.Worker`."""
        super().__init__(app, *args, **kwargs)
        app.worker = self

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """Filter meaningless lines, limit floods, and disable Faust's spinner.

        The spinner turns with each debug message, so that Faust creates all of them.
        """
        if level > logging.DEBUG:
            for handler in logger.handlers:
                handler.addFilter(QuietFilter())
        limit_floods(logger)
        self.spinner = None

    def end(self) -> None:
        """Shut down, as after SIGTERM."""
        self._schedule_shutdown(signal.SIGTERM)

    async def _sentinel_task(self) -> None:
        """Let cancelled tasks end, without the second that mode sleeps here."""
        await asyncio.sleep(0)

    def execute_from_commandline(self) -> NoReturn:
        """Run the worker, and exit with its code."""
        code: Any = 0
        try:
            super().execute_from_commandline()
        except SystemExit as exc:
            code = exc.code
        if self.app.given_up is not None:
            self.log.critical("error: %s", self.app.given_up)
            code = 1
        raise SystemExit(code)
