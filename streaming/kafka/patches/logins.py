"""Logins: a refused token is an error, and the end of a session interrupts no request.

A broker answers a wrong token with a text, and sends the error only after the client's next message
(RFC 7628, section 3.2.3). aiokafka 0.14 takes the text for a successful login, logs that it is
authenticated, and loses the connection at its first request.

A broker with ``connections.max.reauth.ms`` states the length of the session at the login, and
closes the connection at the first request after that time (KIP-368). aiokafka ignores this: each
time, requests fail and errors are logged. This module replaces a connection, before a request, when
its session is nearly over.

Depends on the internals of aiokafka 0.14 (``OAuthAuthenticator.step``, ``AIOKafkaConnection.send``,
``AIOKafkaClient._get_conn``); ``tests/streaming/test_logins.py`` fails when they change.
"""

from __future__ import annotations

import time
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason, OAuthAuthenticator
from aiokafka.errors import SaslAuthenticationFailed
from aiokafka.protocol.admin import SaslAuthenticateRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: The fraction of its session after which a connection is replaced. Only an idle connection can be
#: replaced, and the rest of the session is long enough for nearly all of them to become idle.
REPLACE_AT: Final = 0.7


def install() -> None:
    """Change all connections of this process."""
    OAuthAuthenticator.step = _telling(OAuthAuthenticator.step)
    AIOKafkaConnection.send = _noting_sessions(AIOKafkaConnection.send)
    AIOKafkaClient._get_conn = _replacing(AIOKafkaClient._get_conn)


def _telling(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    async def step(self: OAuthAuthenticator, payload: bytes | None) -> Any:
        if payload:
            raise SaslAuthenticationFailed(payload.decode(errors="replace"))
        return await original(self, payload)

    return step


def _noting_sessions(original: Callable[..., Any]) -> Callable[..., Any]:
    async def note(self: AIOKafkaConnection, answering: Awaitable[Any]) -> Any:
        answer = await answering
        if lifetime_ms := getattr(answer, "session_lifetime_ms", 0):
            self._replace_at = time.monotonic() + REPLACE_AT * lifetime_ms / 1000
        return answer

    @wraps(original)
    def send(self: AIOKafkaConnection, request: Any, *args: Any, **kwargs: Any) -> Any:
        sent = original(self, request, *args, **kwargs)
        return note(self, sent) if isinstance(request, SaslAuthenticateRequest) else sent

    return send


def _replacing(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    async def get(
        self: AIOKafkaClient, node_id: Any, *, group: Any = ConnectionGroup.DEFAULT, **kwargs: Any
    ) -> Any:
        found = self._conns.get((node_id, group))
        if (
            found is not None
            and time.monotonic() >= getattr(found, "_replace_at", float("inf"))
            and not found._requests
        ):
            found.close(reason=CloseReason.IDLE_DROP)
        return await original(self, node_id, group=group, **kwargs)

    return get
