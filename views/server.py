"""The web server as a Faust web driver, so that Faust's settings and options keep their meaning.

Depends on ``faust.web.drivers.aiohttp.Web`` and ``faust.web.base.Web`` of faust-streaming 0.15:
``on_start``, and the lists of blueprints (empty here: Faust's own routes check no token).
"""

from __future__ import annotations

import os
import socket
import warnings
from typing import TYPE_CHECKING, Any, Final

from faust.exceptions import AlreadyConfiguredWarning
from faust.web.drivers import aiohttp as driver
from yarl import URL

from settings import is_loopback
from streaming.errors import StartError
from views.application import NEIGHBOURS, make_application
from views.listener import Listener

if TYPE_CHECKING:
    import faust

    from settings import Settings
    from streaming.ports import WorkerStatus
    from views.query_context import QueryContext

#: Minimum characters of a token that cannot be guessed.
SAFE_TOKEN_LENGTH: Final = 16

#: Public tokens: those in the files of this repository.
KNOWN_TOKENS: Final = frozenset({"change-me-please-0123456789"})

_ANY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound to


class Web(driver.Web):
    """Serves the program's own routes, and none of Faust's."""

    default_blueprints = ()
    production_blueprints = ()
    debug_blueprints = ()
    optional_blueprints = ()

    def __init__(
        self,
        app: faust.App,
        status: WorkerStatus,
        settings: Settings,
        query_context: QueryContext,
        **kwargs: Any,
    ) -> None:
        """Serve ``status`` and ``query_context`` as ``app``'s web server."""
        super().__init__(app, **kwargs)
        self.web_app = make_application(status, settings, query_context, lambda: app.http_client)
        self._settings = settings
        self.query_context = query_context
        self._listener = Listener(self.web_app)

    async def say_farewell(self) -> None:
        """Announce to the other workers that this one leaves."""
        await self.web_app[NEIGHBOURS].say_farewell()

    async def on_start(self) -> None:
        """Start listening."""
        self.init_server()
        await self.start_server()

    async def on_stop(self) -> None:
        """Stop listening."""
        await self.stop_server()

    async def start_server(self) -> None:
        """Open the socket, and set the address that other workers use.

        Raises:
            StartError: the address is not available, or not allowed without a token.
        """
        conf = self.app.conf
        if conf.web_transport.scheme == "unix":
            await self._listener.start_unix(conf.web_transport.path)
            return
        # Faust accepts an empty variable as a value, which would bind to every address.
        host = conf.web_bind or self._settings.web_bind
        if self._settings.http_token is None and not is_loopback(host):
            raise StartError(
                f"without REELS_HTTP_TOKEN the web server may listen only on 127.0.0.0/8, ::1 or "
                f"localhost, not on {host}"
            )
        try:
            await self._listener.start(host, conf.web_port)
        except OSError as exc:
            reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc
            raise StartError(
                f"the web server cannot listen on {host} port {conf.web_port}: {reason}; "
                "choose another with --web-port or WEB_PORT"
            ) from exc
        url = advertised_url(conf, self._settings, host)
        with warnings.catch_warnings():
            # Faust warns because its banner has already read this setting.
            warnings.simplefilter("ignore", AlreadyConfiguredWarning)
            conf.canonical_url = url
        self.log.info(
            "listening on %s port %s, known to other workers as %s", host, conf.web_port, url
        )
        token = self._settings.http_token
        if token in KNOWN_TOKENS:
            self.log.warning(
                "REELS_HTTP_TOKEN is the public token of the example files: set your own, for "
                "example with openssl rand -hex 32"
            )
        elif token is not None and len(token) < SAFE_TOKEN_LENGTH:
            self.log.warning(
                "REELS_HTTP_TOKEN has %s characters: one with less than %s can be guessed",
                len(token),
                SAFE_TOKEN_LENGTH,
            )

    async def stop_server(self) -> None:
        """Close the socket and all connections."""
        await self._listener.stop()


def advertised_url(conf: Any, settings: Settings, host: str) -> URL:
    """Return the address at which other workers reach the server bound to ``host``.

    NODE_CANONICAL_URL wins, even with ``--web-port``, which makes Faust ignore it. A bind address
    from the command line is used unless a host is given there as well.
    """
    if settings.canonical_url is not None:
        return URL(settings.canonical_url)
    # Faust's own URLs need brackets around an IPv6 address.
    name = (conf.web_host or host).strip("[]")
    if host != settings.web_bind and name == settings.web_bind:
        name = host
    if name in _ANY_ADDRESS:
        name = socket.gethostname()
    return URL.build(scheme="http", host=name, port=conf.web_port)
