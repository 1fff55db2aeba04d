"""Writes to closed connections raise KafkaConnectionError, also in uvloop's event loops.

uvloop raises RuntimeError for such a write; Python's own event loops ignore it. aiokafka 0.14
expects only OSError, so a RuntimeError ends the task that keeps a client's metadata. Whoever waits
for metadata afterwards, such as a consumer that stops, waits forever.

Depends on the internals of aiokafka 0.14 (``AIOKafkaConnection.send``, ``_send_sasl_token``);
``tests/streaming/test_closed_connections.py`` fails when they change.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable

#: The methods that write to a connection; both return an awaitable.
_WRITING = ("send", "_send_sasl_token")


def install() -> None:
    """Change all connections of this process."""
    for name in _WRITING:
        setattr(AIOKafkaConnection, name, _telling(getattr(AIOKafkaConnection, name)))


def _telling(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def write(self: AIOKafkaConnection, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        except RuntimeError as exc:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            msg = f"Connection at {self.host}:{self.port} is closed: {exc}"
            raise KafkaConnectionError(msg) from exc

    return write
