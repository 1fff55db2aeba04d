"""``GET /overview`` and ``GET /overview/stream``: this worker's figures, and all workers' live."""

from __future__ import annotations

import logging
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import hdrs, web

from views.answers import HttpError, json_response
from views.neighbours import LEAVING

if TYPE_CHECKING:
    from views.collector import Collector
    from views.figures import FiguresReader
    from views.roster import Roster

log = logging.getLogger(__name__)

#: Streams open at once; each is a connection, and a few kilobytes a second.
MAX_STREAMS: Final = 64


class OverviewViews:
    """Answers for the dashboard, and for whoever else wants to know how the workers are."""

    def __init__(self, figures: FiguresReader, collector: Collector, roster: Roster) -> None:
        """Answer with ``figures`` of this worker, and with what ``collector`` has of all.

        A worker's last request says that it leaves; ``roster`` is told.
        """
        self._figures = figures
        self._collector = collector
        self._roster = roster

    async def get(self, request: web.Request) -> web.Response:
        """Answer with this worker's figures as they are now; counters count from its start."""
        if leaving := request.headers.get(LEAVING):
            self._roster.farewell(leaving, time())
        return json_response(msgspec.to_builtins(self._figures.read()))

    async def get_stream(self, request: web.Request) -> web.StreamResponse:
        """Answer with server-sent events, until the client or the worker goes.

        ``history`` comes first: the last minutes as columns. Then comes ``figures``, once a second:
        sums over all workers, each worker, each partition, and the viral videos. ``end`` is the
        last one when the worker stops.
        """
        if self._collector.subscribers >= MAX_STREAMS:
            raise HttpError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too_many_streams",
                f"{MAX_STREAMS} pages are looking already; close one, or ask another worker",
                {hdrs.RETRY_AFTER: "10"},
            )
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
                # What stands between may not wait for more.
                "X-Accel-Buffering": "no",
            }
        )
        response.force_close()
        if request.method == hdrs.METH_HEAD:
            return response
        with self._collector.subscription() as frames:
            try:
                await response.prepare(request)
                async for frame in frames:
                    await response.write(frame)
            except ConnectionError:
                log.debug("a reader of the stream has gone")
        return response
