"""``Workload``: an endless, reproducible stream of records for the input topic."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from loadgen.campaign import Campaign
from loadgen.kinds import EVENT_TYPES, EventKind
from loadgen.mixing import RECORD, Fractions, Mixer
from loadgen.population import Population
from loadgen.rendering import Renderer
from loadgen.sessions import MAX_EVENTS_PER_MS, SessionStream
from loadgen.spoiling import spoil
from models.partitioner import murmur2_partitions

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

DAY_MS = 86_400_000
#: Largest fraction of all records that may not count.
MAX_FRACTION = 0.9


@dataclass(frozen=True, slots=True)
class EventChunk:
    """Consecutive records of a stream; every field has one entry per record."""

    keys: list[bytes]
    """The user's id in decimal digits."""
    values: list[bytes]
    users: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.uint8]
    """The ``EventKind`` of each record."""

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.values)

    def partitions(
        self,
        count: int,
        partitioner: Callable[[npt.NDArray[np.int64], int], npt.NDArray[np.int64]] | None = None,
    ) -> npt.NDArray[np.int64]:
        """Return the partition of each record, out of ``count``.

        ``partitioner`` receives the users and ``count``; default: Kafka's partitioner.
        """
        return (partitioner or murmur2_partitions)(self.users, count)


def crc32_partitions(users: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return the partitions of librdkafka's default partitioner, which are wrong for this app."""
    return np.array([zlib.crc32(b"%d" % user) % count for user in users.tolist()], np.int64)


@dataclass(slots=True)
class _Recent:
    """The last counting events, which duplicates repeat."""

    reach: int
    first: int = 0
    """Number of counting events before the kept ones."""
    users: list[int] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)

    def add(self, users: list[int], values: list[bytes]) -> None:
        self.users += users
        self.values += values

    def get(self, number: int) -> tuple[int, bytes]:
        return self.users[number - self.first], self.values[number - self.first]

    def forget(self) -> None:
        """Drop events that no later duplicate can repeat."""
        surplus = max(0, len(self.values) - self.reach)
        del self.users[:surplus], self.values[:surplus]
        self.first += surplus


class Workload:
    """A stream of records; equal arguments give equal bytes, in chunks of any size."""

    def __init__(
        self,
        seed: int = 1,
        users: int = 100_000,
        videos: int = 20_000,
        *,
        invalid: float = 0.0,
        duplicates: float = 0.0,
        late: float = 0.0,
        viral: int = 0,
        viral_within: int | None = None,
        start_ms: int = 0,
        ms_per_event: float = 0.5,
        max_events_per_ms: float = MAX_EVENTS_PER_MS,
    ) -> None:
        """Prepare the stream.

        ``invalid``, ``duplicates``, ``late``: fractions of all records, from 0 to 1. ``viral``:
        number of videos that turn viral; ``viral_within``: number of records in which they do.
        Record i has the timestamp ``start_ms`` (milliseconds since the epoch) + i *
        ``ms_per_event``, minus a disorder of up to 5 s, but at least ``start_ms``; late events are
        older. Sessions take as long as in real life up to ``max_events_per_ms``; at higher rates
        they are shorter, to limit memory.

        Raises ValueError for impossible arguments.
        """
        fractions = Fractions(invalid, duplicates, late)
        _check(users, videos, viral, fractions, ms_per_event, max_events_per_ms)
        sessions_seed, campaign_seed, mixer_seed = np.random.SeedSequence(seed).spawn(3)
        self._start_ms = start_ms
        self._ms_per_event = ms_per_event
        counting = 1 - fractions.total
        self._campaign = Campaign(
            np.random.default_rng(campaign_seed),
            videos,
            viral,
            None if viral_within is None else viral_within * counting,
            ms_per_event / counting,
        )
        population = Population.of(users, videos, self._campaign.videos)
        self._sessions = SessionStream(
            *(np.random.default_rng(sessions_seed), population, ms_per_event, max_events_per_ms)
        )
        self._mixer = Mixer(np.random.default_rng(mixer_seed), fractions, ms_per_event)
        described = (
            *(seed, users, videos, invalid, duplicates, late, viral, start_ms, ms_per_event),
            *(max_events_per_ms, self._campaign.share),
        )
        salt = b"%08x" % zlib.crc32(repr(described).encode())
        self._renderer = Renderer(salt, population)
        self._recent = _Recent(self._mixer.max_distance)
        self._block = np.empty(0, RECORD)

    @property
    def viral_videos(self) -> list[int]:
        """The videos that turn viral, in that order."""
        return [int(video) for video in self._campaign.videos]

    @property
    def can_turn_viral(self) -> bool:
        """Whether the videos can turn viral within ``viral_within`` records and one window."""
        return self._campaign.is_possible

    def chunk(self, count: int, latest_ms: int | None = None) -> EventChunk:
        """Return the next ``count`` records.

        ``latest_ms``: latest timestamp, in milliseconds since the epoch; only rejects with a
        future timestamp exceed it.
        """
        pieces = []
        while count > 0:
            while not len(self._block):
                events = self._sessions.next_block()
                self._campaign.apply(events)
                self._block = self._mixer.mix(events)
            pieces.append(self._render(self._block[:count], latest_ms))
            count -= len(self._block[:count])
            self._block = self._block[len(pieces[-1]) :]
        return _joined(pieces)

    def _render(self, records: npt.NDArray[np.void], latest_ms: int | None) -> EventChunk:
        times_ms = self._start_ms + (records["serial"] * self._ms_per_event).astype(np.int64)
        if latest_ms is not None:
            times_ms = np.minimum(times_ms, latest_ms)
        times_ms -= records["earlier_ms"]
        on_time = records["kind"] != EventKind.LATE
        np.maximum(times_ms, self._start_ms, out=times_ms, where=on_time)
        values = self._renderer.events(records, times_ms)
        users = records["user"].copy()
        kinds = records["kind"].copy()

        counts = kinds < len(EVENT_TYPES)
        self._recent.add(users[counts].tolist(), values[counts].tolist())
        for index in np.flatnonzero(kinds == EventKind.DUPLICATE).tolist():
            users[index], values[index] = self._recent.get(int(records["original"][index]))
        for index in np.flatnonzero(kinds > EventKind.LATE).tolist():
            detail = int(records["detail"][index])
            values[index] = spoil(EventKind(kinds[index]), values[index], detail)
        self._recent.forget()
        return EventChunk([b"%d" % user for user in users.tolist()], values.tolist(), users, kinds)


def _joined(pieces: list[EventChunk]) -> EventChunk:
    if len(pieces) == 1:
        return pieces[0]
    return EventChunk(
        [key for piece in pieces for key in piece.keys],
        [value for piece in pieces for value in piece.values],
        np.concatenate([np.empty(0, np.int64), *(piece.users for piece in pieces)]),
        np.concatenate([np.empty(0, np.uint8), *(piece.kinds for piece in pieces)]),
    )


def _check(
    users: int,
    videos: int,
    viral: int,
    fractions: Fractions,
    ms_per_event: float,
    max_events_per_ms: float,
) -> None:
    if min(users, videos) < 1:
        raise ValueError("there must be at least one user and one video")
    if not 0 <= viral < videos:
        raise ValueError(f"viral must be less than the number of videos, {videos}: {viral}")
    if min(fractions.invalid, fractions.duplicates, fractions.late) < 0:
        raise ValueError("fractions of records must not be negative")
    if fractions.total > MAX_FRACTION:
        raise ValueError(f"invalid, duplicates and late must not exceed {MAX_FRACTION} together")
    if not 0 < ms_per_event <= DAY_MS:
        raise ValueError(f"the time between events must be from 0 to a day: {ms_per_event} ms")
    if not max_events_per_ms > 0:
        raise ValueError(f"sessions cannot be as in life up to {max_events_per_ms} events a ms")
