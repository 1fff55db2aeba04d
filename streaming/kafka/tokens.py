"""Tokens for logins at brokers, shared by all clients of a process and renewed in time."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final

from aiokafka.abc import AbstractTokenProvider

from streaming.errors import NoTokenError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

#: The fraction of its lifetime after which a token is renewed, as in Kafka's clients.
RENEW_AT: Final = 0.8
#: Seconds between requests to a failing issuer: the first pause, doubled each time, and the last.
FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 30.0


@dataclass(frozen=True)
class Token:
    """A bearer token."""

    text: str = field(repr=False)
    lifetime: float
    """Seconds from the time of the request."""


class TokenProvider(AbstractTokenProvider):
    """Provides aiokafka with a token for each connection.

    Thread-safe: the clients run in several event loops, each in its own thread.
    """

    def __init__(self, fetch: Callable[[], Token], settings: str) -> None:
        """Get tokens from ``fetch``, which blocks and raises NoTokenError.

        ``settings`` names, as text, the settings to check if a broker refuses the tokens.
        """
        self.settings = settings
        self._fetch = fetch
        self._lock = Lock()
        self._token: Token | None = None
        self._renew_at = self._expires_at = self._retry_at = float("-inf")
        self._pause = FIRST_PAUSE_S
        self._failure = NoTokenError("no token was asked for")

    async def token(self) -> str:
        """Return a valid token. Raises NoTokenError."""
        token = self._token
        if token is None or time.monotonic() >= self._renew_at:
            token = await asyncio.to_thread(self._renewed)
        return token.text

    def _renewed(self) -> Token:
        with self._lock:
            asked_at = time.monotonic()
            if asked_at >= max(self._renew_at, self._retry_at):
                self._ask(asked_at)
            if self._token is None or time.monotonic() >= self._expires_at:
                # A new error each time, because each waiting client adds its own traceback.
                raise type(self._failure)(*self._failure.args)
            return self._token

    def _ask(self, asked_at: float) -> None:
        try:
            token = self._fetch()
        except NoTokenError as exc:
            self._failure = exc
            self._retry_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, MAX_PAUSE_S)
            if self._token is not None:
                log.warning("the token for Kafka could not be renewed: %s", exc)
        else:
            self._token = token
            self._renew_at = asked_at + RENEW_AT * token.lifetime
            self._expires_at = asked_at + token.lifetime
            self._pause = FIRST_PAUSE_S
