"""The socket: where requests come in, with limits on what a connection may ask and take."""

from __future__ import annotations

import asyncio
import logging
import resource
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web

from .answers import bad_request, internal_error, of_aiohttp, secure

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from aiohttp.web_request import BaseRequest

log = logging.getLogger(__name__)

#: Bytes of a request's first line and of one header, number of headers, seconds for which a
#: connection may be silent, and for which what is left of a body is read before it is closed.
LIMITS: Final[dict[str, Any]] = {
    "max_line_size": 4096,
    "max_field_size": 8190,
    "max_headers": 100,
    "keepalive_timeout": 75.0,
    "lingering_time": 1.0,
    "auto_decompress": False,
    "access_log": None,
}

#: Connections at once, on a machine that allows the process twice as many open files.
MAX_CONNECTIONS: Final = 4096

#: Seconds for the requests under way when the worker stops.
SHUTDOWN_TIMEOUT: Final = 2.0


def most_connections() -> int:
    """Return how many connections may be open: tables and brokers need files and sockets, too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)


class Connection(web.RequestHandler):
    """aiohttp's connection; what goes wrong before a route is reached is answered in JSON, too.

    Leans on ``aiohttp.web_protocol.RequestHandler`` of aiohttp 3.14: ``_request_in_progress``.
    """

    __slots__ = ("_most", "_open")

    def __init__(
        self, manager: web.Server, opened: dict[Connection, None], most: int, **kwargs: Any
    ) -> None:
        """Count among the ``opened``, of which there are ``most`` at once."""
        super().__init__(manager, **kwargs)
        self._open = opened
        self._most = most

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make room when there is none: the longest open one that asks for nothing has to go."""
        super().connection_made(transport)
        if len(self._open) >= self._most:
            idle = (each for each in self._open if not each._request_in_progress)
            leaving = next(idle, self)
            self._open.pop(leaving, None)
            leaving.force_close()
            if leaving is self:
                return
        self._open[self] = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave room for another one."""
        self._open.pop(self, None)
        super().connection_lost(exc)

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
        return await super().finish_response(request, resp, start_time)


class Listener:
    """Listens for an application's requests."""

    def __init__(self, application: web.Application) -> None:
        """Serve ``application``; :meth:`start` opens the socket."""
        self._runner = web.AppRunner(application, shutdown_timeout=SHUTDOWN_TIMEOUT)
        self._server: asyncio.Server | None = None
        # In the order in which they were opened.
        self._connections: dict[Connection, None] = {}

    async def start(self, host: str, port: int) -> int:
        """Listen at an address, and return the port (another one than 0).

        Raises:
            OSError: the address is not to be had.
        """
        factory = await self._set_up()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(factory, host, port)
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def start_unix(self, path: str | os.PathLike[str]) -> None:
        """Listen at a socket in the file system."""
        factory = await self._set_up()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(factory, path)

    async def _set_up(self) -> Callable[[], Connection]:
        await self._runner.setup()
        # There is one as soon as it is set up.
        manager = cast("web.Server", self._runner.server)
        loop = asyncio.get_running_loop()
        opened, most = self._connections, most_connections()
        return lambda: Connection(manager, opened, most, loop=loop, **LIMITS)

    async def stop(self) -> None:
        """Listen no more, let requests under way end, and close all connections."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
