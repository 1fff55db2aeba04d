"""Construction of tasks from parts that bootstrap.py creates once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from streaming.kafka.batch_reader import unpack
from streaming.kafka.batch_writer import pack
from streaming.kafka.producer import TransactionalProducer
from streaming.kafka.topic_limits import Limits
from streaming.tasks.outbox import Outbox
from streaming.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from faust.types import TP

    from settings import Settings
    from streaming.kafka.batch_reader import Unpack
    from streaming.kafka.batch_writer import Pack
    from streaming.kafka.io_loop import IoLoop
    from streaming.kafka.topic_specs import TopicSpec
    from streaming.tasks.processor import Processor
    from streaming.tasks.shared_limits import SharedLimits
    from tables.sliced import SlicedTable
    from tables.state import PartitionState


class TaskHost(Protocol):
    """The objects that tasks share, and the receiver of their failures."""

    limits: Limits
    shared_limits: SharedLimits

    def lock_of(self, partition: int, /) -> TransactionalProducer:
        """Return the producer whose start locks ``partition``."""

    def task_failed(self, task: Task, exc: BaseException, /) -> None:
        """Handle a failed task."""

    def refetch(self, task: Task, tp: TP, /) -> None:
        """Handle a gap between a task's position and a batch."""


@dataclass(frozen=True)
class TaskContext:
    """The parts that all tasks of a worker share."""

    settings: Settings
    client_settings: Mapping[str, Any]
    """aiokafka's connection settings, for any kind of client."""
    tables: Mapping[str, SlicedTable[Any]]
    """By name."""
    topics: Sequence[TopicSpec]
    """All topics of the program."""
    deltas: Mapping[str, str]
    """The topics with deltas for tables, by the table's name."""
    make_processors: Callable[[int, Mapping[str, PartitionState], Outbox], Sequence[Processor]]
    """Creates a partition's processors; takes number, tables' states by name, and outbox."""
    unpack: Unpack = unpack
    """Extracts the records of a fetch."""
    pack: Pack = pack
    """Packs values into batches."""

    @property
    def source_topic(self) -> str:
        """The input topic."""
        return self.settings.events_topic

    @property
    def event_topics(self) -> Sequence[str]:
        """The topics with events: the input, and the repartition topic."""
        return self.settings.events_topic, self.settings.repartition_topic

    def producer(
        self, transactional_id: str, io_loop: IoLoop, limits: Limits
    ) -> TransactionalProducer:
        """Return a producer with this id that runs in ``io_loop``; it is not started."""
        group_id = self.settings.app_id
        return TransactionalProducer(
            transactional_id, group_id, self.client_settings, io_loop, self.pack, limits
        )

    def limits(self) -> Limits:
        """Return the limits of all topics of the program, which are not read yet."""
        return Limits(self.client_settings, [spec.name for spec in self.topics])

    async def build(self, partition: int, host: TaskHost) -> Task:
        """Open a partition's databases and create its task; nothing is connected yet."""
        states = {name: await table.data.open(partition) for name, table in self.tables.items()}
        for state in states.values():
            await state.idle()
        settings = self.settings
        outbox = Outbox(host.limits, {settings.dead_letter_topic, settings.order_topic})
        return Task(
            partition,
            self.make_processors(partition, states, outbox),
            outbox,
            host.lock_of(partition),
            on_failure=host.task_failed,
            refetch=host.refetch,
            shared_limits=host.shared_limits,
        )
