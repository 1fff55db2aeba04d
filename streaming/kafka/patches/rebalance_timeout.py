"""A longer timeout for requests that wait for a rebalance, and only for these.

The group's coordinator answers a member's request to join once all others have joined, which may
take up to :data:`REBALANCE_TIMEOUT_S`. aiokafka 0.14 has one timeout for all requests. If that were
as long, a coordinator that does not answer would stop the commits of its groups for as long.

Depends on the internals of aiokafka 0.14 (``AIOKafkaConnection.send``, ``_requests``,
``_request_timeout``); ``tests/streaming/test_rebalance_timeout.py`` fails when they change.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds to wait for the answer to a request to join; aiokafka gives members 60 s to rejoin.
REBALANCE_TIMEOUT_S: Final = 90.0

_REBALANCE = frozenset({JoinGroupRequest.API_KEY, SyncGroupRequest.API_KEY})


def install() -> None:
    """Change all connections of this process."""
    AIOKafkaConnection.send = _waiting(AIOKafkaConnection.send)


def _waiting(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def send(self: AIOKafkaConnection, request: Any, *args: Any, **kwargs: Any) -> Any:
        # A broker answers a connection's requests in order: later ones wait for the rebalance too.
        waiting = (struct.API_KEY for _, struct, _ in self._requests if struct is not None)
        if _REBALANCE.isdisjoint((request.API_KEY, *waiting)):
            return original(self, request, *args, **kwargs)
        usual = self._request_timeout
        self._request_timeout = max(usual, REBALANCE_TIMEOUT_S)
        try:
            return original(self, request, *args, **kwargs)
        finally:
            self._request_timeout = usual

    return send
