"""The schema of the agents' channels: one Faust message contains a topic's batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faust

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from faust.types import AppT, EventT, Message


class BatchSchema(faust.Schema):
    """Passes the batches of a fetch, by partition, to the agent without decoding."""

    def __init__(self) -> None:
        """Use bytes for keys and values."""
        super().__init__(key_type=bytes, value_type=bytes)

    def compile(self, app: AppT, **_: Any) -> Callable[..., Awaitable[EventT]]:
        """Return the coroutine that turns a message into an event."""
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> EventT:  # noqa: ARG001
            return create_event(None, message.value, message.headers, message)

        return decode
