"""``GET /overview`` and ``/overview/stream``: figures of this worker, and of all workers, live."""

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
    from views.roster import Roster
    from views.worker_stats import WorkerStatsReader

log = logging.getLogger(__name__)

#: Maximum open streams; each is a connection, and a few kilobytes per second.
MAX_STREAMS: Final = 64


class OverviewViews:
    """Answers for the dashboard and other observers of the workers."""

    def __init__(self, figures: WorkerStatsReader, collector: Collector, roster: Roster) -> None:
        """Answer with this worker's ``figures``, and with those of all workers from ``collector``.

        ``roster`` records the workers whose last request announces that they leave.
        """
        self._figures = figures
        self._collector = collector
        self._roster = roster

    async def get(self, request: web.Request) -> web.Response:
        """Answer with this worker's current figures; counters count from its start."""
        if leaving := request.headers.get(LEAVING):
            self._roster.farewell(leaving, time())
        return json_response(msgspec.to_builtins(self._figures.read()))

    async def get_stream(self, request: web.Request) -> web.StreamResponse:
        """Answer with server-sent events, until the client disconnects or the worker stops.

        The first event is ``history``: the last minutes as columns. Then ``figures`` follows once
        per second: sums over all workers, each worker, each partition, and the viral videos. When
        the worker stops, the last event is ``end``.
        """
        if self._collector.subscribers >= MAX_STREAMS:
            raise HttpError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too_many_streams",
                f"{MAX_STREAMS} pages are already open; close one, or ask another worker",
                {hdrs.RETRY_AFTER: "10"},
            )
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
                # Proxies must not buffer events.
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
                log.debug("a reader of the stream has disconnected")
        return response
