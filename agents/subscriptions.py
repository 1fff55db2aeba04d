"""The agents on the app: they hand each batch to the task of its partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.fetch.batch_schema import BatchSchema

if TYPE_CHECKING:
    import faust

    from settings import Settings
    from streaming.runtime.app import App


def add_agents(app: App, settings: Settings) -> None:
    """Subscribe to the events, those passed on to their partition, and the video deltas."""

    def batches_of(topic: str, *, internal: bool) -> faust.TopicT:
        # The tasks commit their own positions: Faust has nothing to acknowledge.
        return app.topic(
            topic,
            schema=BatchSchema(),
            partitions=settings.partitions,
            internal=internal,
            acks=False,
        )

    @app.agent(batches_of(settings.events_topic, internal=False), name="engagement_events")
    async def engagement_events(stream: faust.StreamT) -> None:
        """User metrics, video deltas, dead letters, and events on to their own partition."""
        async for event in stream.noack().events():
            app.tasks.submit(event.value)
            event.ack()

    @app.agent(batches_of(settings.repartition_topic, internal=True), name="passed_on_events")
    async def passed_on_events(stream: faust.StreamT) -> None:
        """Do the same with events that lay in another partition than their user's."""
        async for event in stream.noack().events():
            app.tasks.submit(event.value)
            event.ack()

    @app.agent(batches_of(settings.deltas_topic, internal=True), name="video_deltas")
    async def video_deltas(stream: faust.StreamT) -> None:
        """Video metrics and viral flags."""
        async for event in stream.noack().events():
            app.tasks.submit(event.value)
            event.ack()
