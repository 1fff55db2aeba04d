"""The app's agents, which pass each batch to the task of its partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streaming.fetch.batch_schema import BatchSchema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import faust
    from faust.types import TP

    from streaming.kafka.records import Batch


class TableSource(NamedTuple):
    """A topic with records for a table, and the agent that reads it."""

    topic: str
    agent: str
    """The agent's name."""
    text: str
    """The agent's description, as ``faust -A app agents`` shows it."""
    is_internal: bool = True
    """Whether only workers write the topic."""


def add_agent(
    app: faust.App,
    source: TableSource,
    partitions: int,
    submit: Callable[[Mapping[TP, Batch]], None],
) -> None:
    """Subscribe to ``source``, and pass its batches to ``submit``."""
    # Tasks commit their positions themselves, so Faust has nothing to acknowledge.
    topic = app.topic(
        source.topic,
        schema=BatchSchema(),
        partitions=partitions,
        internal=source.is_internal,
        acks=False,
    )

    async def hand_over(stream: faust.StreamT) -> None:
        async for event in stream.noack().events():
            submit(event.value)
            event.ack()

    hand_over.__name__, hand_over.__doc__ = source.agent, source.text
    app.agent(topic, name=source.agent)(hand_over)
