"""The tables and their parts: the one place that lists all tables.

They are in the order of the data flow: a table that receives records from others comes after them.
A new table needs a new entry here; docs/architecture.md lists the readers of this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelerator import PaneBackend, ReadBackend, UserBackend, is_wanted
from agents.engagement import EngagementProcessor
from agents.subscriptions import TableSource
from agents.summed_deltas import DeltaProcessor
from agents.video_deltas import VideoProcessor
from exporting.columns import SummedMetrics, UserMetrics, VideoMetrics
from exporting.sources import Exported
from models.viral import ViralRule
from streaming.kafka.topic_specs import changelog_topic, topic_specs
from tables import creators, users, videos
from tables.summed import summed_table
from views import entities
from views.summed import SummedViews
from views.users import UserViews
from views.videos import VideoViews

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import faust

    from models.entity import Entity
    from models.pane_windows import PaneWindows
    from settings import Settings
    from streaming.kafka.topic_specs import TopicSpec
    from streaming.tasks.processor import Processor, ProcessorContext
    from tables.sliced import SlicedTable
    from tables.store import StoreContext
    from views.query_context import MakeEntity, MakeViews


@dataclass(frozen=True, kw_only=True)
class TableEntry:
    """The parts of a windowed table."""

    name: str
    sources: Sequence[TableSource]
    """Topics of its records, highest priority first."""
    deltas: str | None = None
    """The one of these topics in which other tables' tasks send it sums; None without one."""
    windows: Any
    """The functions on its values, such as :class:`models.user.UserWindows`."""
    make_table: Callable[[faust.App, StoreContext], SlicedTable[Any]]
    make_processor: Callable[[ProcessorContext], Processor]
    views: MakeViews
    exported: Exported
    batches: MakeEntity
    """Returns the reader of batches of its keys."""

    @property
    def entity(self) -> Entity[Any]:
        """The entity that the table counts."""
        found: Entity[Any] = self.windows.entity
        return found


def topology(settings: Settings) -> list[TableEntry]:
    """Return all tables.

    Raises:
        AcceleratorError: the compiled form is required, but not available.
    """
    is_accelerated = is_wanted(settings.accelerator)
    makers = [_users, _videos, *([_creators] if settings.has_creators else [])]
    return [make(settings, accelerated=is_accelerated) for make in makers]


def all_topics(settings: Settings, tables: Sequence[TableEntry]) -> list[TopicSpec]:
    """Return all topics of the program."""
    changelogs = [changelog_topic(settings, entry.name) for entry in tables]
    return topic_specs(settings, changelogs, [e.deltas for e in tables if e.deltas is not None])


def _users(settings: Settings, *, accelerated: bool) -> TableEntry:
    windows = users.user_windows(settings)
    backend = UserBackend.of(windows, accelerated=accelerated)
    reading = ReadBackend.of(accelerated=accelerated)
    return TableEntry(
        name=users.NAME,
        # Passed-on events were sent earlier, and must not become late behind a backlog.
        sources=[
            TableSource(
                settings.repartition_topic,
                "passed_on_events",
                "Do the same for events from other partitions than their user's.",
            ),
            TableSource(
                settings.events_topic,
                "engagement_events",
                "User metrics, video deltas, dead letters, and events for other partitions.",
                is_internal=False,
            ),
        ],
        windows=windows,
        make_table=lambda app, stores: users.user_table(app, settings, windows, stores),
        make_processor=lambda context: EngagementProcessor(
            context.partition,
            context.state,
            context.outbox,
            settings,
            backend,
            context.changelog_topic,
            context.dead_letter_partitions,
        ),
        views=lambda context: UserViews(context.table, windows, context.routing).routes(),
        batches=lambda table: entities.users(
            table, windows.slices, reading.user_sums(windows), reading.by_partition
        ),
        exported=Exported(windows.slices, lambda size: UserMetrics(windows, size)),
    )


def _videos(settings: Settings, *, accelerated: bool) -> TableEntry:
    windows = videos.video_windows(settings)
    backend = PaneBackend.of_videos(windows, accelerated=accelerated)
    reading = ReadBackend.of(accelerated=accelerated)
    rule = ViralRule(settings.viral_coefficient, settings.viral_min_views)
    return TableEntry(
        name=videos.NAME,
        sources=[
            TableSource(settings.deltas_topic, "video_deltas", "Video metrics and viral flags."),
        ],
        deltas=settings.deltas_topic,
        windows=windows,
        make_table=lambda app, stores: summed_table(
            *(app, settings, videos.NAME, windows, stores, windows.tumbling, videos.RULES)
        ),
        make_processor=lambda context: VideoProcessor(
            context.partition,
            context.state,
            context.outbox,
            settings,
            backend,
            rule,
            context.changelog_topic,
        ),
        views=lambda context: VideoViews(
            context.table, windows, rule, context.viral, context.routing, context.readiness
        ).routes(),
        batches=lambda table: entities.videos(
            table, windows.slices, reading.pane_sums(windows), reading.by_partition, rule
        ),
        exported=Exported(windows.slices, lambda _: VideoMetrics(windows, rule), has_window=False),
    )


def _creators(settings: Settings, *, accelerated: bool) -> TableEntry:
    windows, topic = creators.creator_windows(settings), settings.creator_deltas_topic
    return _summed(settings, creators.NAME, windows, topic, accelerated=accelerated)


def _summed(
    settings: Settings, name: str, windows: PaneWindows[Any], topic: str, *, accelerated: bool
) -> TableEntry:
    """Return a summed table with one window, whose deltas come from ``topic``."""
    of, reading = windows.entity, ReadBackend.of(accelerated=accelerated)
    backend = PaneBackend.of(windows, accelerated=accelerated)
    return TableEntry(
        name=name,
        sources=[TableSource(topic, f"{of.name}_deltas", f"{of.name.title()} metrics.")],
        deltas=topic,
        windows=windows,
        make_table=lambda app, stores: summed_table(app, settings, name, windows, stores),
        make_processor=lambda context: DeltaProcessor(
            context.partition, context.state, topic, backend, context.changelog_topic
        ),
        views=lambda context: SummedViews(context.table, windows, context.routing).routes(),
        batches=lambda table: entities.summed(
            table, windows, reading.pane_sums(windows), reading.by_partition
        ),
        exported=Exported(windows.slices, lambda size: SummedMetrics(windows, size)),
    )
