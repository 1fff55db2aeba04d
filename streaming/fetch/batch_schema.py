"""The schema of the agents' channels: a topic's batches are one Faust message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faust

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from faust.types import AppT, EventT, Message


class BatchSchema(faust.Schema):
    """Hands a fetch's batch by partition to the agent, with nothing decoded."""

    def __init__(self) -> None:
        """Keys and values are bytes."""
        super().__init__(key_type=bytes, value_type=bytes)

    def compile(self, app: AppT, **_: Any) -> Callable[..., Awaitable[EventT]]:
        """Return the coroutine that makes an event of a message."""
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> EventT:  # noqa: ARG001
            return create_event(None, message.value, message.headers, message)

        return decode
