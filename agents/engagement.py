"""Processing of engagement events: users' metrics, deltas, dead letters, passed-on events."""

from __future__ import annotations

from collections import Counter
from time import time
from typing import TYPE_CHECKING

import numpy as np
from faust.types import TP

from agents.feeds import Feed
from agents.misplaced import misplaced_share
from models.counters import CREATOR, VIDEO
from models.cut import omitted
from models.event import Rejected
from models.merge_order import MergeOrder
from models.schema import OUTCOMES, SOURCE_APP
from models.windows import format_duration, to_iso
from monitoring import metrics
from streaming.kafka.record_bounds import ORIGINAL_HEADER
from streaming.kafka.records import FIRST_TIMESTAMP, OutRecord
from tables.creators import NAME as CREATORS
from tables.user_rows import load_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from accelerator import UserBackend
    from models._protocols import Chunk
    from settings import Settings
    from streaming.kafka.record_bounds import Header
    from streaming.kafka.records import Record
    from streaming.tasks.outbox import Outbox
    from tables.state import PartitionState


class EngagementProcessor:
    """Processes one partition of the events into the users of that partition.

    Events come from the input, and through the repartition topic from its other partitions. Records
    of the repartition topic go first: they were sent earlier, and must not become late while the
    partition works off a backlog.
    """

    def __init__(
        self,
        partition: int,
        state: PartitionState,
        outbox: Outbox,
        settings: Settings,
        backend: UserBackend,
        changelog_topic: str,
        dead_letter_partitions: int,
    ) -> None:
        """Process into ``state``, and send everything else through ``outbox``."""
        self._dead_letter_partition = partition % dead_letter_partitions
        self.topics: Sequence[str] = settings.repartition_topic, settings.events_topic
        self.changelog_topic = changelog_topic
        self.state = state
        self._backend = backend
        self._partition = partition
        self._outbox = outbox
        self._settings = settings
        self._skew = format_duration(settings.max_future_skew)
        self._input = TP(settings.events_topic, partition)
        self._order = MergeOrder()
        step = settings.video_step
        self._videos = Feed(settings.deltas_topic, step, VIDEO, backend.accumulator)
        step, topic = backend.plain_windows.slices.step, settings.creator_deltas_topic
        creators = Feed(topic, step, CREATOR, backend.accumulator, CREATORS)
        self._creators = creators if settings.has_creators else None
        self._feeds = [feed for feed in (self._videos, self._creators) if feed is not None]
        self._left_out = frozenset([] if settings.has_creators else [CREATORS])
        self._read = metrics.events_read.labels(str(partition))
        self._outcomes = [metrics.events.labels(name) for name in OUTCOMES]

    async def process(
        self, records: Sequence[Record], topic: str, positions: Mapping[TP, int]
    ) -> None:
        """Process ``records`` of ``topic``; each of them gets exactly one outcome."""
        settings, state = self._settings, self.state
        latest = int(time() * 1000) + settings.max_future_skew
        chunk: Chunk[Record] = self._backend.chunk(
            records, self._partition, settings.partitions, latest
        )
        windows = self._backend.windows
        rows = await load_rows(state, chunk, windows)
        # No await from here on: a commit must contain the whole chunk or nothing of it.
        creators = self._creators.accumulator if self._creators is not None else None
        outcome = chunk.apply(
            *(windows, rows, state.stream_time, self._videos.accumulator, settings.video_step),
            creators,
        )
        state.stream_time = outcome.stream_time
        if outcome.applied:
            state.feeds -= self._left_out
        for record, partition, key in chunk.misplaced:
            self._pass_on(record, partition, key)
        rejected = [
            *chunk.rejected,
            *((record, self._future(t_ms)) for record, t_ms in chunk.future),
            *self._late(outcome.late),
        ]
        if rejected:
            self._reject(rejected, topic)
        if topic == self._input.topic:
            misplaced_share.note(len(records), len(chunk.misplaced))
        else:
            self._order.note(positions[self._input], records[-1].offset + 1)
        late, misplaced = len(outcome.late), len(chunk.misplaced)
        outcomes = outcome.applied, outcome.duplicate, late, len(rejected) - late, misplaced
        self._count(chunk, outcomes, latest)

    def _future(self, t_ms: int) -> Rejected:
        return Rejected(
            "future_timestamp", f"{to_iso(t_ms)} is more than {self._skew} ahead of the clock"
        )

    def _late(self, late: Iterable[tuple[Record, int]]) -> Iterator[tuple[Record, Rejected]]:
        slices = self._backend.plain_windows.slices
        of_time: dict[int, Rejected] = {}
        for record, stream_time in late:
            found = of_time.get(stream_time)
            if found is None:
                first = max(0, slices.kept_from(stream_time) * slices.step)
                found = of_time[stream_time] = Rejected(
                    "late", f"before {to_iso(first)}, the start of the oldest open window"
                )
            yield record, found

    def _pass_on(self, record: Record, partition: int, key: bytes) -> None:
        self._outbox.add(
            self._settings.repartition_topic,
            partition,
            OutRecord(
                *(key, record.value, tuple(record.headers), record.timestamp),
                omitted=omitted(record.headers),
            ),
        )

    def _reject(self, rejected: Sequence[tuple[Record, Rejected]], topic: str) -> None:
        self._outbox.extend(
            self._settings.dead_letter_topic,
            self._dead_letter_partition,
            self._dead_letters(rejected, topic),
        )
        for reason, count in Counter(rejection.reason for _, rejection in rejected).items():
            metrics.events_rejected.labels(reason).inc(count)

    def _dead_letters(
        self, rejected: Iterable[tuple[Record, Rejected]], topic: str
    ) -> Iterator[OutRecord]:
        source = ("source.topic", topic.encode()), ("source.partition", b"%d" % self._partition)
        app = SOURCE_APP, self._settings.app_id.encode()
        described: Rejected | None = None
        for record, rejection in rejected:
            if rejection is not described:  # events in a row are often rejected alike
                described = rejection
                detail = rejection.detail.encode(errors="replace")
                first = ("reason", rejection.reason.encode()), ("detail", detail), *source
            headers: tuple[Header, ...] = *first, ("source.offset", b"%d" % record.offset), app
            if record.headers:
                own = [(f"{ORIGINAL_HEADER}{name}", value) for name, value in record.headers]
                headers = *headers, *own
            yield OutRecord(
                *(record.key, record.value, headers),
                whole=False,
                omitted=omitted(record.headers),
            )

    def _count(self, chunk: Chunk[Record], outcomes: Iterable[int], latest: int) -> None:
        self._read.inc(len(chunk.sent))
        for counter, count in zip(self._outcomes, outcomes, strict=True):
            if count:
                counter.inc(count)
        for name, count in Counter(chunk.dropped).items():
            metrics.optional_values_dropped.labels(name).inc(count)
        sent = chunk.sent
        if chunk.misplaced:
            # They are applied in another partition, and are not old enough yet.
            sent = _without(sent, [record.timestamp for record, *_ in chunk.misplaced])
        known = sent[(sent >= FIRST_TIMESTAMP) & (sent <= latest)]
        metrics.ingest_latency.observe(time() - known / 1000)

    def take_over(self, *_: object) -> bool:
        """Refuse: events are processed only from their topics, where each has its partition."""
        return False

    def has_pending(self) -> bool:
        """Whether a feed has sums or a first record to send."""
        return any(feed.has_pending() for feed in self._feeds)

    def prepare(self) -> None:
        """Send accumulated sums as delta records, and the order of passed-on events."""
        if self._order:
            order = OutRecord(None, self._order.take())
            self._outbox.add(self._settings.order_topic, self._partition, order)
        stream_time = self.state.stream_time
        if stream_time is None:
            return
        partitions = self._settings.partitions
        for feed in self._feeds:
            feed.send(self._outbox, self._partition, stream_time, partitions)

    def reset_to_committed(self) -> None:
        """Start from the committed state; uncommitted events will be processed again."""
        state = self.state
        state.reset_to_committed()
        self._backend = self._backend.in_units(state.unit)
        self._order = MergeOrder()
        for feed in self._feeds:
            feed.reset(state)


def _without(sent: np.ndarray, removed: Sequence[int]) -> np.ndarray:
    """Return ``sent``, sorted, without the values ``removed``, which it contains."""
    values, counts = np.unique(sent, return_counts=True)
    gone, often = np.unique(removed, return_counts=True)
    counts[np.searchsorted(values, gone)] -= often
    return np.repeat(values, counts)
