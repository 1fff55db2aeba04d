"""How long a member waits for a rebalance, and for everything else.

The group's coordinator answers a member that joins when all others have joined, after up to
:data:`REBALANCE_TIMEOUT_S`. aiokafka 0.14 has one timeout for every request: as long as that, a
coordinator that is silent, asleep or cut off, stops the commits of its groups for as long.

Leans on aiokafka's insides (``AIOKafkaConnection.send``, ``_requests``, ``_request_timeout``);
``tests/streaming/test_rebalance_timeout.py`` fails when they move.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that a request to join is answered within; aiokafka gives members 60 to join again.
REBALANCE_TIMEOUT_S: Final = 90.0

_REBALANCE = frozenset({JoinGroupRequest.API_KEY, SyncGroupRequest.API_KEY})


def install() -> None:
    """Have all connections of this process wait for a rebalance, and for nothing else, so long."""
    AIOKafkaConnection.send = _waiting(AIOKafkaConnection.send)


def _waiting(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def send(self: AIOKafkaConnection, request: Any, *args: Any, **kwargs: Any) -> Any:
        # A broker answers a connection's requests in order: those behind have to wait as well.
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
