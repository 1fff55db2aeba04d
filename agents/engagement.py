"""Engagement events: to user metrics, video deltas, dead letters, or on to their own partition."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING, Final

import numpy as np

from models.deltas import pack_deltas
from models.event import Event, Rejected, decode, id_hash, timestamp_ms
from models.partitioner import murmur2_partitions
from models.video import COUNTER_OF
from models.windows import format_duration, to_iso
from monitoring import metrics
from streaming.outbox import OutRecord
from tables.sweep import Sweeper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.user import UserWindows
    from settings import Settings
    from streaming.batch import Record
    from streaming.outbox import Outbox
    from tables.state import PartitionState

#: Rows of one delta record, 28 bytes each.
DELTA_ROWS: Final = 8000


@dataclass
class _Decoded:
    """A chunk of records after the steps that need no state."""

    events: list[tuple[Record, Event, int]] = field(default_factory=list)
    """Record, event and its time in ms."""
    user_ids: list[int] = field(default_factory=list)
    rejected: list[tuple[Record, Rejected]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


class EngagementProcessor:
    """Folds one partition of the events into the users of that partition."""

    def __init__(
        self,
        partition: int,
        state: PartitionState,
        outbox: Outbox,
        settings: Settings,
        windows: UserWindows,
        changelog_topic: str,
        dead_letter_partitions: int,
    ) -> None:
        """Fold into ``state``, and send everything else through ``outbox``."""
        self._dead_letter_partition = partition % dead_letter_partitions
        self.topic = settings.events_topic
        self.changelog_topic = changelog_topic
        self.state = state
        self.sweeper = Sweeper(state, windows.is_expired, settings.user_step / 1000)
        self._partition = partition
        self._outbox = outbox
        self._settings = settings
        self._windows = windows
        self._deltas: dict[tuple[int, int], list[int]] = {}
        self._ticked = -1

    async def fold(self, records: Sequence[Record]) -> None:
        """Fold ``records``; each of them gets exactly one outcome."""
        decoded = self._decode(records)
        here = self._partition
        partitions = murmur2_partitions(decoded.user_ids, self._settings.partitions).tolist()
        keys = [b"%d" % user_id for user_id in decoded.user_ids]
        own = {key for key, partition in zip(keys, partitions, strict=True) if partition == here}
        loaded = await self.state.load(own)
        # From here on nothing waits: a commit sees all of this chunk or nothing of it.
        outcomes = Counter(rejected=len(decoded.rejected))
        for record, rejection in decoded.rejected:
            self._reject(record, rejection)
        self._apply(decoded.events, partitions, keys, loaded, outcomes)
        self._count(records, outcomes, decoded.dropped)

    def _decode(self, records: Sequence[Record]) -> _Decoded:
        decoded = _Decoded()
        keep, user_id = decoded.events.append, decoded.user_ids.append
        latest = int(time() * 1000) + self._settings.max_future_skew
        for record in records:
            event = decode(record.value, decoded.dropped)
            if isinstance(event, Rejected):
                decoded.rejected.append((record, event))
                continue
            t_ms = timestamp_ms(event.timestamp)
            if t_ms > latest:
                decoded.rejected.append((record, self._future(t_ms)))
                continue
            keep((record, event, t_ms))
            user_id(event.user_id)
        return decoded

    def _future(self, t_ms: int) -> Rejected:
        skew = format_duration(self._settings.max_future_skew)
        return Rejected(
            "future_timestamp", f"{to_iso(t_ms)} is more than {skew} ahead of the clock"
        )

    def _apply(
        self,
        events: list[tuple[Record, Event, int]],
        partitions: list[int],
        keys: list[bytes],
        loaded: dict[bytes, bytes | None],
        outcomes: Counter[str],
    ) -> None:
        here = self._partition
        state, deltas = self.state, self._deltas
        dirty = state.dirty
        stream_time = state.stream_time
        apply, is_late = self._windows.apply, self._windows.is_late
        # Nothing later than this, from stream time, can be late: asked first, being cheap.
        slack = self._settings.user_step - self._settings.user_window
        step = self._settings.video_step
        applied = duplicate = 0
        for (record, event, t_ms), partition, key in zip(events, partitions, keys, strict=True):
            if partition != here:
                self._pass_on(record, partition, key)
                outcomes["rekeyed"] += 1
                continue
            if (stream_time is None or t_ms < stream_time + slack) and is_late(t_ms, stream_time):
                self._reject(record, self._late(stream_time or 0))
                outcomes["late"] += 1
                continue
            now = t_ms if stream_time is None or t_ms > stream_time else stream_time
            value = dirty.get(key) or loaded[key]
            kind, watched = event.event_type, event.metadata.view_duration_ms
            value = apply(value, kind, t_ms, watched, id_hash(event.event_id), now)
            if value is None:
                duplicate += 1
                continue
            dirty[key] = value
            applied += 1
            stream_time = now
            counter = COUNTER_OF.get(kind)
            if counter is not None:
                place = (event.video_id, t_ms // step)
                delta = deltas.get(place)
                if delta is None:
                    delta = deltas[place] = [0, 0, 0, 0]
                delta[counter] += 1
        state.stream_time = stream_time
        outcomes["applied"] += applied
        outcomes["duplicate"] += duplicate

    def _late(self, stream_time: int) -> Rejected:
        first = self._windows.slices.kept_from(stream_time) * self._windows.slices.step
        return Rejected("late", f"before {to_iso(first)}, where the oldest window begins")

    def _pass_on(self, record: Record, partition: int, key: bytes) -> None:
        self._outbox.add(
            self.topic,
            partition,
            OutRecord(key, record.value, tuple(record.headers), record.timestamp),
        )

    def _reject(self, record: Record, rejection: Rejected) -> None:
        headers = (
            ("reason", rejection.reason.encode()),
            ("detail", rejection.detail.encode(errors="replace")),
            ("source.topic", self.topic.encode()),
            ("source.partition", b"%d" % self._partition),
            ("source.offset", b"%d" % record.offset),
        )
        self._outbox.add(
            self._settings.dead_letter_topic,
            self._dead_letter_partition,
            OutRecord(record.key, record.value, headers),
        )
        metrics.events_rejected.labels(rejection.reason).inc()

    def _count(self, records: Sequence[Record], outcomes: Counter[str], dropped: list[str]) -> None:
        metrics.events_read.labels(str(self._partition)).inc(len(records))
        for outcome, count in outcomes.items():
            metrics.events.labels(outcome).inc(count)
        for name, count in Counter(dropped).items():
            metrics.optional_values_dropped.labels(name).inc(count)
        sent = np.fromiter((record.timestamp for record in records), np.float64, len(records))
        metrics.ingest_latency.observe(np.maximum(time() - sent / 1000, 0.0))

    def has_pending(self) -> bool:
        """Whether deltas or expired keys are waiting."""
        return bool(self._deltas) or bool(self.sweeper)

    def pack(self) -> None:
        """Make delta records of what has gathered, one for each partition of videos it touches.

        When stream time enters another step of the videos, every partition of them is told:
        a video leaves its windows as time passes, also when nothing more happens to it.
        """
        self.sweeper.delete_found()
        stream_time = self.state.stream_time
        if stream_time is None:
            return
        deltas, self._deltas = self._deltas, {}
        count = self._settings.partitions
        by_partition: dict[int, list[tuple[int, int, int, int, int, int]]] = {}
        step = stream_time // self._settings.video_step
        if step != self._ticked:
            self._ticked = step
            by_partition = {partition: [] for partition in range(count)}
        targets = murmur2_partitions([video_id for video_id, _ in deltas], count).tolist()
        for target, ((video_id, pane), counts) in zip(targets, deltas.items(), strict=True):
            by_partition.setdefault(target, []).append((video_id, pane, *counts))  # type: ignore[arg-type]
        for target, rows in by_partition.items():
            for first in range(0, len(rows) or 1, DELTA_ROWS):
                value = pack_deltas(self._partition, stream_time, rows[first : first + DELTA_ROWS])
                self._outbox.add(self._settings.deltas_topic, target, OutRecord(None, value))

    def restored(self) -> None:
        """Begin anew: deltas that were not committed are folded again."""
        self.state.restored()
        self._deltas = {}
        stream_time = self.state.stream_time
        self._ticked = -1 if stream_time is None else stream_time // self._settings.video_step
