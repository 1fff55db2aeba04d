"""The listening socket, with limits per connection."""

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web

from views.connection import Connection
from views.places import Places

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

#: Maximum bytes of a request line and of one header, maximum number of headers, seconds for which
#: a connection may be idle, and for which the rest of a body is read before it closes.
LIMITS: Final[dict[str, Any]] = {
    "max_line_size": 4096,
    "max_field_size": 8190,
    "max_headers": 100,
    "keepalive_timeout": 75.0,
    "lingering_time": 1.0,
    "auto_decompress": False,
    "access_log": None,
}

#: Maximum connections, if the process may open twice as many files.
MAX_CONNECTIONS: Final = 4096

#: Seconds for requests in progress when the worker stops.
SHUTDOWN_TIMEOUT_S: Final = 2.0


def most_connections() -> int:
    """Return the maximum number of connections; the tables and brokers also need open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)


class Listener:
    """Serves an application on a socket."""

    def __init__(self, application: web.Application) -> None:
        """Serve ``application``; :meth:`start` opens the socket."""
        self._runner = web.AppRunner(application, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        self._server: asyncio.Server | None = None
        self.places = Places(most_connections())

    async def start(self, host: str, port: int) -> int:
        """Listen at an address, and return the actual port.

        Raises:
            OSError: the address is not available.
        """
        factory = await self._set_up()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(factory, host, port)
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def start_unix(self, path: str | os.PathLike[str]) -> None:
        """Listen at a Unix socket."""
        factory = await self._set_up()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(factory, path)

    async def _set_up(self) -> Callable[[], Connection]:
        await self._runner.setup()
        # ``setup`` has created the server.
        manager = cast("web.Server", self._runner.server)
        loop = asyncio.get_running_loop()
        places = self.places
        return lambda: Connection(manager, places, loop=loop, **LIMITS)

    async def stop(self) -> None:
        """Stop listening, let requests in progress end, and close all connections."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
