"""One connection, with time limits for its client."""

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

#: Within each WRITE_TIMEOUT_S, a client must take its answer or MIN_TAKEN_BYTES of it.
WRITE_TIMEOUT_S: Final = 10.0
MIN_TAKEN_BYTES: Final = 256 << 10

#: Seconds within which a guest must send its request and take the answer.
GUEST_TIMEOUT_S: Final = 1.0

#: Maximum bytes of requests, without bodies, that wait to be handled.
MAX_PENDING_BYTES: Final = 32 << 10

#: Bytes checked at once: the limit above can be exceeded by this.
_SLICE: Final = 16 << 10

#: A request's ``Expect`` header, removed because aiohttp would answer it before any check.
EXPECTATION: Final = web.RequestKey("EXPECTATION", str)


class Connection(web.RequestHandler):
    """aiohttp's connection, with JSON also for errors before a route is reached.

    A client that does not take its answer in time is cut off. An answer counts as taken once the
    operating system has all of it: an idle connection holds no data in this process.

    Depends on ``aiohttp.web_protocol.RequestHandler`` of aiohttp 3.14: ``_handle_request``,
    ``_messages``, ``_waiter``, ``_paused``.
    """

    __slots__ = ("_body", "_deadline", "_pending", "_places", "_socket", "is_guest")

    def __init__(self, manager: web.Server, places: Places, **kwargs: Any) -> None:
        """Occupy one of ``places`` once the client is connected."""
        super().__init__(manager, **kwargs)
        self._places = places
        self._socket: asyncio.Transport | None = None
        self._body: StreamReader | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._pending = 0
        self.is_guest = False

    @property
    def waits_for_client(self) -> bool:
        """Whether the client must act next: send a request or a body, or take its answer."""
        is_idle = self._waiter is not None and not self._waiter.done()
        return is_idle or self._is_body_missing or self._paused

    @property
    def _is_body_missing(self) -> bool:
        return self._body is not None and not self._body.is_eof()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Occupy a place; a client without a place is a guest."""
        # aiohttp drops it on close, but with unsent data the close may never end.
        self._socket = cast("asyncio.Transport", transport)
        # Any untaken byte pauses writing; aiohttp waits until it is taken.
        self._socket.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        self.is_guest = not self._places.enter(self)
        if self.is_guest:
            self._deadline = self._loop.call_later(GUEST_TIMEOUT_S, self._end_visit)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Release the place."""
        self._places.leave(self)
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Accept requests up to a limit; they wait until they are complete and due."""
        for start in range(0, len(data) or 1, _SLICE):
            piece = data[start : start + _SLICE]
            if not self._is_body_missing:
                self._pending += len(piece)
            super().data_received(piece)
            if self._messages:
                # The body of the latest request, which may not be handled yet.
                self._body = self._messages[-1][1]
            if self._pending > MAX_PENDING_BYTES:
                log.debug("a client sends too many or too long requests: connection closed")
                self.cut()
                return

    def pause_writing(self) -> None:
        """Start the time limit for the client to take its answer."""
        super().pause_writing()
        left = self._untaken
        self._places.left_untaken(self, left)
        self._stop_clock()
        self._deadline = self._loop.call_later(WRITE_TIMEOUT_S, self._expect_less, left)

    def resume_writing(self) -> None:
        """Stop the time limit: the client has taken everything."""
        super().resume_writing()
        self._places.taken(self)
        self._stop_clock()

    def cut(self) -> None:
        """Close the connection at once, and drop untaken data."""
        self._stop_clock()
        self.force_close()
        if self._socket is not None:
            self._socket.abort()

    @property
    def _untaken(self) -> int:
        return 0 if self._socket is None else self._socket.get_write_buffer_size()

    def _expect_less(self, before: int) -> None:
        left = self._untaken
        if left > before - MIN_TAKEN_BYTES:
            log.info("a client reads its answer too slowly, or not at all: connection closed")
            self.cut()
            return
        self._deadline = self._loop.call_later(WRITE_TIMEOUT_S, self._expect_less, left)

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
        """Answer a malformed request or a failure outside of the views, and close."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer is only partly sent")
        if status == HTTPStatus.BAD_REQUEST:
            log.debug("a request from %s is not HTTP: %s", request.remote, message)
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
        """Send the answer; errors of aiohttp's own are converted to JSON."""
        if isinstance(resp, web.HTTPException):
            resp = of_aiohttp(resp).response
        if self.is_guest:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)
