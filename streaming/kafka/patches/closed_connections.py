"""aiokafka's connections, in event loops of uvloop's.

To write to a connection that is closed raises a RuntimeError there, and does nothing in Python's
own. aiokafka 0.14 knows OSErrors only: its task that keeps a client's metadata ended of it, and who
waited for metadata next, as a consumer that stops, waited in vain. Leans on its insides
(``AIOKafkaConnection.send``, ``_send_sasl_token``); ``tests/streaming/test_closed_connections.py``
fails when they move.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable

#: What writes; both return something to be awaited.
_WRITING = ("send", "_send_sasl_token")


def install() -> None:
    """Have all connections of this process raise KafkaConnectionError when they are closed."""
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
