"""``faust -A app status`` and ``top``: all workers and partitions, as a worker reports them.

Importing this module registers the commands.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from abc import abstractmethod
from time import time
from typing import TYPE_CHECKING, Any, NoReturn, cast

import aiohttp
import click
import orjson
from aiohttp import hdrs
from faust.cli.base import AppCommand, option
from rich.console import Console
from rich.live import Live
from yarl import URL

from commands import shapes
from commands.status_tables import is_well, rendered, troubles
from setting_kinds import hide_login
from streaming.runtime.faust_settings import host_in_urls
from views.peers import address_of
from views.proof import Prover

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from streaming.runtime.app import App

#: The route that reports on all workers.
STREAM = "/overview/stream"

#: Reports that ``status`` waits for; a rate needs two of them.
MIN_REPORTS = 3

#: Seconds of silence after which a worker counts as not answering.
SILENT_AFTER_S = 10.0

Figures = dict[str, Any]


class StatusError(Exception):
    """No worker reports; the text is one line for the user."""


async def figures_of(
    url: str, token: str | None, *, is_token_sent: bool = False
) -> AsyncGenerator[Figures, None]:
    """Yield a worker's figures of all workers, once per second.

    Arguments:
        url: the worker's address.
        token: the worker's token. It is proved, not sent: another program may be at that address.
        is_token_sent: send the token itself, because the worker does not know that address.

    Raises:
        StatusError: there is no answer, or a wrong one.
    """
    worker, url = _address(url), hide_login(url)
    headers: dict[str, str] = {}
    if token and is_token_sent:
        headers = {hdrs.AUTHORIZATION: f"Bearer {token}"}
    elif token:
        headers, _ = Prover(token).headers(time(), address_of(worker), "GET", STREAM)
    timeout = aiohttp.ClientTimeout(total=None, connect=SILENT_AFTER_S, sock_read=SILENT_AFTER_S)
    # The history is sent as one long line.
    session = aiohttp.ClientSession(headers=headers, timeout=timeout, read_bufsize=1 << 22)
    try:
        async with session, session.get(f"{address_of(worker)}{STREAM}") as answer:
            if answer.status == 401:  # noqa: PLR2004
                raise await _refusal(url, token, answer)
            if answer.status != 200:  # noqa: PLR2004
                raise StatusError(f"{url} answers with status {answer.status}")
            kind = ""
            async for raw in answer.content:
                name, _, text = raw.decode().rstrip("\n").partition(": ")
                if name == "event":
                    kind = text
                elif name == "data" and kind == "figures":
                    yield orjson.loads(text)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
        raise StatusError(f"no worker answers at {url}: {_reason(exc)}") from exc


def _address(url: str) -> URL:
    """Return the worker's address; ``localhost``, which may have several, becomes 127.0.0.1."""
    try:
        worker = URL(url)
        if worker.scheme in {"http", "https"} and worker.host and worker.raw_user is None:
            return worker.with_host("127.0.0.1") if worker.host == "localhost" else worker
    except ValueError:
        pass
    raise StatusError(f"{hide_login(url)!r} is not an address: write http://host:port")


async def _refusal(url: str, token: str | None, answer: aiohttp.ClientResponse) -> StatusError:
    if token is None:
        return StatusError(f"{url} requires a token: set REELS_HTTP_TOKEN")
    try:
        said = ascii(orjson.loads(await answer.content.read(4096))["error"]["message"])
    except (ValueError, TypeError, KeyError):
        said = "no reason given"
    return StatusError(
        f"{url} refuses REELS_HTTP_TOKEN ({said}): set --url to the worker's NODE_CANONICAL_URL "
        "or, for an address that you trust, add --send-token"
    )


def _default_url(bind: str, port: int) -> str:
    """Return the address of a worker on this host that is bound to ``bind``."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - compared
    return f"http://{host_in_urls(host)}:{port}"


def _reason(exc: BaseException) -> str:
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "no address is known for that name"
    if isinstance(exc, aiohttp.ClientSSLError):
        return str(exc)  # its numbers are not those of the operating system
    if isinstance(exc, aiohttp.ClientConnectorError) and exc.os_error.errno:
        return os.strerror(exc.os_error.errno)
    return str(exc) or type(exc).__name__


class _Asking(AppCommand):
    """Common parts of ``status`` and ``top``."""

    abstract = True
    #: The exit code after Ctrl-C.
    interrupted = 128 + signal.SIGINT
    options: list[Any] = [  # noqa: RUF012 - as in Faust's commands
        option(
            "--url", default=None, help="Address of any worker; default: WEB_BIND and WEB_PORT."
        ),
        option(
            "--send-token",
            is_flag=True,
            help="Send the token itself, for a proxy or a mapped port.",
        ),
    ]

    def __init__(
        self, ctx: click.Context, *args: Any, url: str | None, send_token: bool, **kwargs: Any
    ) -> None:
        """Read the options."""
        super().__init__(ctx, *args)
        settings = cast("App", self.app).task_context.settings
        self._url = url or _default_url(self.app.conf.web_bind, self.app.conf.web_port)
        self._token = settings.http_token
        self._is_token_sent = send_token

    def _figures(self) -> AsyncIterator[Figures]:
        return figures_of(self._url, self._token, is_token_sent=self._is_token_sent)

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Run the command outside of a Faust worker: there is no app to start."""
        try:
            code = asyncio.run(self._show())
        except KeyboardInterrupt:
            code = self.interrupted
        except StatusError as exc:
            click.echo(f"error: {exc}", err=True)
            code = 2
        sys.exit(code)

    @abstractmethod
    async def _show(self) -> int:
        """Read and print figures; return the exit code."""


class status(_Asking):  # noqa: N801 - the class's name is the command's
    """Show workers, partitions, lag, rates and recovery; any one worker reports on all.

    The exit code is 0 if everything is ready, 1 if something is not, 2 if no worker answers. A
    worker is ready, not ready (with the reason), silent (in the group, but it does not answer),
    left (it ended in order) or lost (it disappeared; shown for 15 minutes, or until it is back).
    """

    options: list[Any] = [  # noqa: RUF012 - as in Faust's commands
        *_Asking.options,
        option(
            "--expect-workers",
            type=click.IntRange(min=0),
            default=0,
            help="Exit with 1 if fewer workers answer.",
        ),
    ]

    def __init__(self, ctx: click.Context, *args: Any, expect_workers: int, **kwargs: Any) -> None:
        """Read the options."""
        super().__init__(ctx, *args, **kwargs)
        self._expected = expect_workers

    async def _show(self) -> int:
        looks, last = 0, None
        async for figures in self._figures():
            looks, last = looks + 1, figures
            if looks >= MIN_REPORTS:
                break
        if last is None:
            raise StatusError(f"{hide_login(self._url)} is stopping")
        well = is_well(last, self._expected)
        if self.json:
            troubles_now = troubles(last, self._expected)
            shapes.print_json(shapes.status(last, well=well, troubles=troubles_now))
        elif not self.quiet:
            Console().print(rendered(last, self._expected))
        return 0 if well else 1


class top(_Asking):  # noqa: N801 - the class's name is the command's
    """Show the same live, until Ctrl-C."""

    interrupted = 0

    async def _show(self) -> int:
        with Live(screen=Console().is_terminal) as live:
            async for figures in self._figures():
                live.update(rendered(figures), refresh=True)
        return 0
