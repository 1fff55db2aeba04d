"""One connection: aiohttp's, with bounds on the time that its client may take."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import hdrs, web

from views.answers import bad_request, internal_error, of_aiohttp, secure

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from aiohttp import StreamReader
    from aiohttp.web_request import BaseRequest

    from views.places import Places

log = logging.getLogger(__name__)

#: In each such time, in seconds, a client has to take all that waits for it, or so many bytes.
WRITE_TIMEOUT: Final = 10.0
LEAST_TAKEN: Final = 256 << 10

#: Seconds within which a guest has to ask, and to take its answer.
GUEST_TIMEOUT: Final = 1.0

#: Bytes of requests that a client may send before the worker has taken them up, without bodies.
MAX_PENDING: Final = 32 << 10

#: Bytes that are looked at at once, which bounds by how much that can be exceeded.
_SLICE: Final = 16 << 10

#: What a request expects before it sends its body; aiohttp would promise it before any check.
EXPECTATION: Final = web.RequestKey("EXPECTATION", str)


class Connection(web.RequestHandler):
    """aiohttp's connection; what goes wrong before a route is reached is answered in JSON, too.

    A client that does not take its answer in time is cut, wherever it stopped. An answer counts as
    taken when the system has all of it to send, so nothing is left in this process by a connection
    that seems to be idle.

    Leans on ``aiohttp.web_protocol.RequestHandler`` of aiohttp 3.14: ``_handle_request``,
    ``_messages``, ``_waiter``, ``_paused``.
    """

    __slots__ = ("_body", "_deadline", "_pending", "_places", "_socket", "is_guest")

    def __init__(self, manager: web.Server, places: Places, **kwargs: Any) -> None:
        """Take one of the ``places`` as soon as the connection is there."""
        super().__init__(manager, **kwargs)
        self._places = places
        self._socket: asyncio.Transport | None = None
        self._body: StreamReader | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._pending = 0
        self.is_guest = False

    @property
    def waits_for_client(self) -> bool:
        """Whether it is for the client to go on: to ask, to send a body, to take its answer."""
        is_idle = self._waiter is not None and not self._waiter.done()
        return is_idle or self._is_body_missing or self._paused

    @property
    def _is_body_missing(self) -> bool:
        return self._body is not None and not self._body.is_eof()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place; who comes when none is to be had is a guest."""
        # aiohttp forgets it when it closes, which with something left to send can last for ever.
        self._socket = cast("asyncio.Transport", transport)
        # Paused is whoever leaves anything; aiohttp waits until it is taken.
        self._socket.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        self.is_guest = not self._places.enter(self)
        if self.is_guest:
            self._deadline = self._loop.call_later(GUEST_TIMEOUT, self._end_visit)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave room for another one."""
        self._places.leave(self)
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take requests, up to a bound: they are held until their turn comes, or their end."""
        for start in range(0, len(data) or 1, _SLICE):
            piece = data[start : start + _SLICE]
            if not self._is_body_missing:
                self._pending += len(piece)
            super().data_received(piece)
            if self._messages:
                # Of the request that came last, from its head on: it may not be handled yet.
                self._body = self._messages[-1][1]
            if self._pending > MAX_PENDING:
                log.debug("a client sends more requests, or longer ones, than are taken: cut")
                self.cut()
                return

    def pause_writing(self) -> None:
        """Begin to wait for the client to take what waits for it."""
        super().pause_writing()
        left = self._untaken
        self._places.left_untaken(self, left)
        self._stop_clock()
        self._deadline = self._loop.call_later(WRITE_TIMEOUT, self._expect_less, left)

    def resume_writing(self) -> None:
        """Take that the client has all that there was."""
        super().resume_writing()
        self._places.taken(self)
        self._stop_clock()

    def cut(self) -> None:
        """End the connection at once, with whatever its client has not taken."""
        self._stop_clock()
        self.force_close()
        if self._socket is not None:
            self._socket.abort()

    @property
    def _untaken(self) -> int:
        return 0 if self._socket is None else self._socket.get_write_buffer_size()

    def _expect_less(self, before: int) -> None:
        left = self._untaken
        if left > before - LEAST_TAKEN:
            log.info("a client takes its answer too slowly, or not at all: cut")
            self.cut()
            return
        self._deadline = self._loop.call_later(WRITE_TIMEOUT, self._expect_less, left)

    def _end_visit(self) -> None:
        if self.waits_for_client:
            self.cut()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    async def _handle_request(
        self,
        request: BaseRequest,
        start_time: float | None,
        request_handler: Callable[[BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        if not self._messages:
            self._pending = 0
        expectation = request.headers.get(hdrs.EXPECT)
        if expectation:
            headers = request.headers.copy()
            headers.popall(hdrs.EXPECT)
            request = request.clone(headers=headers)
            request[EXPECTATION] = expectation
        return await super()._handle_request(request, start_time, request_handler)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or what failed outside of the views, and close."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer is half sent")
        if status == HTTPStatus.BAD_REQUEST:
            log.debug("a request from %s is no HTTP: %s", request.remote, message)
            error = bad_request("bad_request", "the request is not well-formed, or too large")
        else:
            log.error("a request from %s failed", request.remote, exc_info=exc)
            error = internal_error()
        response = error.response
        secure(response)
        response.force_close()
        return response

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; one of aiohttp's own errors becomes one of ours."""
        if isinstance(resp, web.HTTPException):
            resp = of_aiohttp(resp).response
        if self.is_guest:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)
