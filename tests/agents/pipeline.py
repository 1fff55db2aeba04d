"""The program's processors with real tables, and lists instead of Kafka's topics.

The test decides when to process, commit and crash.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from aiokafka.structs import ConsumerRecord
from faust.types import TP

import settings as program_settings
from accelerator import PaneBackend, UserBackend, is_wanted, layer_backend
from agents.engagement import EngagementProcessor
from agents.summed_deltas import DeltaProcessor
from agents.video_deltas import VideoProcessor
from models.viral import ViralRule
from streaming.commit.handover import hand_over
from streaming.tasks.outbox import Outbox
from tables.creators import creator_windows
from tables.rocks import RocksStore
from tables.rocks_options import RocksMemory
from tables.state import PartitionState
from tables.summed import summed_layout
from tables.users import user_layout, user_windows
from tables.videos import video_windows
from tests.oracle import Record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from streaming.kafka.records import OutRecord
    from tables.layers import Layer
    from tables.layout import StoreFormat

EVENTS, DELTAS = "events", "reels-video-deltas"
CREATOR_DELTAS = "reels-creator-deltas"
REPARTITION, ORDER = "reels-events-repartition", "reels-events-order"
SOURCES = CREATOR_DELTAS, DELTAS, REPARTITION, EVENTS
DEAD_LETTERS, VIRAL = "dead-letters", "viral"
NOW = 1_800_000_000_000


def make_settings(**environment: str | int) -> program_settings.Settings:
    """Return the program's settings with short topic names."""
    return program_settings.load(
        {
            "REELS_EVENTS_TOPIC": EVENTS,
            "REELS_DEAD_LETTER_TOPIC": DEAD_LETTERS,
            "REELS_VIRAL_TOPIC": VIRAL,
            **{name: str(value) for name, value in environment.items()},
        }
    )


class Part:
    """One partition number: its processors, their states, and its positions."""

    def __init__(self, number: int, folder: Path, pipeline: Pipeline) -> None:
        """Open the tables in ``folder``."""
        settings = pipeline.settings
        videos = video_windows(settings)
        self.users = self._state("users", number, user_layout(user_windows(settings)), pipeline)
        self.videos = self._state("videos", number, summed_layout(videos), pipeline)
        self.outbox = Outbox()
        accelerated = is_wanted(settings.accelerator)
        backend = PaneBackend.of_videos(videos, accelerated=accelerated)
        rule = ViralRule(settings.viral_coefficient, settings.viral_min_views)
        self.partition = number
        self.engagement = self._engagement(settings)
        self.video = VideoProcessor(
            number, self.videos, self.outbox, settings, backend, rule, "videos-changelog"
        )
        of_creators = creator_windows(settings)
        self.creators = self._state("creators", number, summed_layout(of_creators), pipeline)
        self.creator = DeltaProcessor(
            *(number, self.creators, CREATOR_DELTAS),
            PaneBackend.of(of_creators, accelerated=accelerated),
            "creators-changelog",
        )
        self.processors = (self.engagement, self.video, self.creator)
        self.positions = dict.fromkeys(SOURCES, 0)
        self.committed = dict(self.positions)
        self.commits = 0
        #: Committed layers that are not on disk, by state: one commit in two is flushed.
        self.unflushed: dict[PartitionState, list[Layer]] = defaultdict(list)
        self._begin()

    def _state(
        self, table: str, number: int, layout: StoreFormat, pipeline: Pipeline
    ) -> PartitionState:
        store = RocksStore(pipeline.folder / f"{table}-{number}.db", pipeline.memory)
        backend = layer_backend(accelerated=is_wanted(pipeline.settings.accelerator))
        return PartitionState(table, layout, store, pipeline.executor, backend)

    def _engagement(self, settings: program_settings.Settings) -> EngagementProcessor:
        return EngagementProcessor(
            self.partition,
            self.users,
            self.outbox,
            settings,
            UserBackend.of(user_windows(settings), accelerated=is_wanted(settings.accelerator)),
            "users-changelog",
            settings.partitions,
        )

    async def restart(self, settings: program_settings.Settings) -> None:
        """Restart with other settings for the users' task."""
        self.engagement = self._engagement(settings)
        self.processors = (self.engagement, self.video, self.creator)
        await self.restore()

    async def restore(self) -> None:
        """Restart from the committed state, as after a crash."""
        self.outbox.take()
        for state, commits in self.unflushed.items():
            for changes in commits:
                await state.apply(dict(changes.items()), self.commits)
        self.unflushed.clear()
        self._begin()

    def take_over(self, tp: TP, values: Sequence[bytes | None]) -> bool:
        """Process immediately the records that another partition is about to send."""
        receivers: dict[str, Any] = {DELTAS: self.video, CREATOR_DELTAS: self.creator}
        receiver = receivers.get(tp.topic, self.engagement)
        has_taken: bool = receiver.take_over(tp.topic, values)
        return has_taken

    def _begin(self) -> None:
        for processor in self.processors:
            processor.reset_to_committed()
        self.positions = dict(self.committed)


class Pipeline:
    """All partitions; a context manager."""

    def __init__(self, folder: Path, settings: program_settings.Settings) -> None:
        """Open everything in ``folder``."""
        self.folder = folder
        self.settings = settings
        #: Whether partitions that commit together hand sums over instead of sending them.
        self.is_one_worker = True
        self.memory = RocksMemory.create(1 << 20)
        self.executor = ThreadPoolExecutor(1)
        self.topics: dict[tuple[str, int], list[ConsumerRecord[Any, Any]]] = defaultdict(list)
        self.parts = [Part(number, folder, self) for number in range(settings.partitions)]

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the tables."""
        for part in self.parts:
            part.users.store.close()
            part.videos.store.close()
            part.creators.store.close()
        self.executor.shutdown()

    def send(self, topic: str, partition: int, record: OutRecord) -> None:
        """Append a record to a topic."""
        records = self.topics[topic, partition]
        records.append(
            ConsumerRecord(
                topic=topic,
                partition=partition,
                offset=len(records),
                timestamp=NOW if record.timestamp is None else record.timestamp,
                timestamp_type=0,
                key=record.key,
                value=record.value,
                checksum=None,
                serialized_key_size=0,
                serialized_value_size=0,
                headers=tuple(record.headers),
            )
        )

    async def process(self, number: int, topic: str, count: int) -> None:
        """Process the next records of a topic's partition, at most ``count`` of them."""
        part = self.parts[number]
        at = part.positions[topic]
        records = self.topics[topic, number][at : at + count]
        if records:
            processors: dict[str, Any] = {DELTAS: part.video, CREATOR_DELTAS: part.creator}
            processor = processors.get(topic, part.engagement)
            positions = {TP(name, number): at for name, at in part.positions.items()}
            await processor.process(records, topic, positions)
            part.positions[topic] = at + len(records)

    async def commit(self, *numbers: int) -> None:
        """Commit some partitions together, as a worker does."""
        parts = [self.parts[number] for number in numbers]
        for part in parts:
            for processor in part.processors:
                processor.state.sweeper.delete_found()
                processor.prepare()
        if self.is_one_worker:
            hand_over(parts)
        for part in parts:
            await self._commit(part)

    async def claim(self, number: int) -> None:
        """Write the layout records, as a worker does when it opens a partition."""
        await self._commit(self.parts[number])

    async def _commit(self, part: Part) -> None:
        frozen = [(p.state, changes) for p in part.processors if len(changes := p.state.freeze())]
        for (topic, partition), records in part.outbox.take().items():
            for record in records:
                self.send(topic, partition, record)
        part.committed = dict(part.positions)
        part.commits += 1
        for state, changes in frozen:
            part.unflushed[state].append(changes)
            state.post_commit(part.commits)
        if part.commits % 2 == 0:
            for state in part.unflushed:
                await state.flush()
            part.unflushed.clear()

    async def crash(self, number: int) -> None:
        """Drop all uncommitted changes of a partition."""
        await self.parts[number].restore()

    async def finish(self) -> None:
        """Process and commit until nothing remains."""
        before = -1
        while before != (before := self._done()):
            for number in range(len(self.parts)):
                for topic in SOURCES:
                    await self.process(number, topic, 10**9)
                await self.commit(number)

    def _done(self) -> int:
        sent = sum(map(len, self.topics.values()))
        return sent + sum(sum(part.committed.values()) for part in self.parts)

    # -- the view from outside

    def read(self, topic: str) -> list[Record]:
        """Return all records of a topic, partition by partition."""
        return [
            Record(
                *(record.partition, record.offset, record.key, record.value, record.timestamp),
                tuple(record.headers),
            )
            for (name, _), records in sorted(self.topics.items())
            if name == topic
            for record in records
        ]

    def values(self, table: str) -> dict[bytes, bytes]:
        """Return all keys and values of a table."""
        return {key: value for part in self.parts for key, value in getattr(part, table).items()}

    def last_values(self, topic: str) -> dict[bytes, bytes]:
        """Return the last value of each key."""
        values: dict[bytes, bytes] = {}
        for record in self.read(topic):
            assert record.key is not None
            values[record.key] = record.value or b""
        return {key: value for key, value in values.items() if value}


def values_of(records: Sequence[Record]) -> list[bytes | None]:
    """Return the records' values."""
    return [record.value for record in records]
