"""The expected results, computed a second time: plain, slow, and without the program's code.

The oracle is fed the records of the input topic, partition by partition. It returns the outcome of
each record, and the counts of every user, video and creator at any time. It keeps every applied
event, and sums the events again for each query.

Where the contract leaves a choice, the oracle decides as follows:

* A partition's stream time is the latest timestamp of an event applied in it.
* Each record is checked in this order: is it too large, is it an event, is it from the future, is
  it in the wrong partition, is it late, is it a duplicate? If it passes all checks, it is applied.
* Late: the event's step is before the oldest step of the window at the stream time before the
  event. An event before 1970 is always late.
* Duplicate: an event of that user with that id was applied, and stream time, including this
  event, has since advanced by at most the horizon. After more than :data:`REMEMBERED` further ids
  of the user, nothing is promised: a stream with such a duplicate is a mistake of the test.
* Fractions of a millisecond are cut off.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.oracle_events import Event, parse, partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000

#: The minimum number of a user's ids that are remembered within the horizon.
REMEMBERED = 4080


class Record(NamedTuple):
    """A record as it lies in a topic; the timestamp is Kafka's, in ms."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


class Outcome(NamedTuple):
    """applied, duplicate, late, rejected or rekeyed; with the reason if there is a dead letter."""

    name: str
    reason: str | None = None


class DeadLetter(NamedTuple):
    """A record of the dead-letter topic, without its ``detail``, the text for people."""

    key: bytes | None
    value: bytes | None
    reason: str
    source_topic: str
    source_partition: int
    source_offset: int


class UserCounts(NamedTuple):
    """A user's metrics in the window [start, end)."""

    start: int
    end: int
    views: int
    likes: int
    watched: int
    completion: Fraction | None


class VideoCounts(NamedTuple):
    """A video's counts in the window [start, end)."""

    start: int
    end: int
    views: int
    likes: int
    comments: int
    shares: int
    completion: Fraction | None


class CreatorCounts(NamedTuple):
    """A creator's counts in the window [start, end)."""

    start: int
    end: int
    views: int
    likes: int
    comments: int
    shares: int
    follows: int
    watched: int
    completion: Fraction | None


@dataclass(frozen=True)
class Rules:
    """The settings that affect results; times in ms."""

    partitions: int
    user_window: int = 24 * HOUR
    user_step: int = 15 * MINUTE
    video_window: int = 2 * HOUR
    video_step: int = 5 * MINUTE
    horizon: int = HOUR
    viral_coefficient: str = "1.5"
    viral_min_views: int = 1000
    future: int = 4_102_444_800_000
    """Timestamps from here on are rejected as future: the year 2100 unless a test sets another."""


class Oracle:
    """The expected results of the records that it was fed."""

    #: Whether a release that counts positions counted all of the users' events.
    users_have_positions = True

    def __init__(self, rules: Rules, topic: str = "engagement-events") -> None:
        """Start without records."""
        self.rules = rules
        self.topic = topic
        self.outcomes: Counter[str] = Counter()
        self.passed_on: Counter[Record] = Counter()
        """The records that the repartition topic must hold, with offset 0."""
        self.dead_letters: list[DeadLetter] = []
        self.stream_times: dict[int, int] = {}
        self.applied: list[Event] = []
        self.of_user: dict[int, list[Event]] = defaultdict(list)
        self.of_video: dict[int, list[Event]] = defaultdict(list)
        self.of_creator: dict[int, list[Event]] = defaultdict(list)
        self._seen: dict[tuple[int, str], tuple[int, int]] = {}
        """The stream time at which an id was applied, and its number among its user's ids."""
        self._ids: Counter[int] = Counter()

    def feed(self, record: Record, topic: str | None = None) -> Outcome:
        """Judge the next record of its partition in ``topic``, by default the input topic."""
        outcome = self._judge(record)
        self.outcomes[outcome.name] += 1
        if outcome.reason is not None:
            self.dead_letters.append(
                DeadLetter(
                    *(record.key, record.value, outcome.reason),
                    *(topic or self.topic, record.partition, record.offset),
                )
            )
        return outcome

    def _judge(self, record: Record) -> Outcome:
        event = parse(record.value)
        if isinstance(event, str):
            return Outcome("rejected", event)
        if event.t >= self.rules.future:
            return Outcome("rejected", "future_timestamp")
        home = partition_of(event.user_id, self.rules.partitions)
        if home != record.partition:
            moved: dict[str, Any] = {"partition": home, "offset": 0, "key": b"%d" % event.user_id}
            self.passed_on[record._replace(**moved)] += 1
            return Outcome("rekeyed")
        before = self.stream_times.get(record.partition)
        if self._is_late(event.t, before):
            return Outcome("late", "late")
        now = event.t if before is None else max(before, event.t)
        seen_at, number = self._seen.get((event.user_id, event.event_id), (None, 0))
        if seen_at is not None and now - seen_at <= self.rules.horizon:
            between = self._ids[event.user_id] - number
            assert between <= REMEMBERED, f"{between} ids of user {event.user_id}: no promise holds"
            return Outcome("duplicate")
        self._ids[event.user_id] += 1
        self._seen[event.user_id, event.event_id] = now, self._ids[event.user_id]
        self.stream_times[record.partition] = now
        self.applied.append(event)
        self.of_user[event.user_id].append(event)
        if event.event_type in ("video_view", "like", "comment", "share"):
            self.of_video[event.video_id].append(event)
        if event.creator_id is not None and event.event_type != "save":
            self.of_creator[event.creator_id].append(event)
        return Outcome("applied")

    def _is_late(self, t: int, stream_time: int | None) -> bool:
        if t < 0:
            return True
        if stream_time is None:
            return False
        oldest, _ = hopping_window(stream_time, self.rules.user_window, self.rules.user_step)
        return t < oldest

    # -- users

    def as_of(self, user_id: int) -> int | None:
        """Return the stream time of a user's partition."""
        return self.stream_times.get(partition_of(user_id, self.rules.partitions))

    def user(self, user_id: int, at: int, size: int | None = None) -> UserCounts:
        """Return a user's metrics in the window at a time."""
        window = self.rules.user_window if size is None else size
        start, end = hopping_window(at, window, self.rules.user_step)
        inside = [each for each in self.of_user.get(user_id, ()) if start <= each.t < end]
        views = [each for each in inside if each.event_type == "video_view"]
        return UserCounts(
            *(start, end, len(views)),
            sum(each.event_type == "like" for each in inside),
            sum(each.watched for each in views),
            completion_of(inside),
        )

    # -- videos

    def latest(self) -> int | None:
        """Return the latest stream time of all partitions: videos get its step immediately."""
        return max(self.stream_times.values(), default=None)

    def rolling(self, video_id: int, at: int) -> VideoCounts:
        """Return a video's counts in the rolling window at a time."""
        window = hopping_window(at, self.rules.video_window, self.rules.video_step)
        return self._counts(video_id, *window)

    def tumbling(self, video_id: int, at: int) -> VideoCounts:
        """Return a video's counts in the tumbling window at a time."""
        start = at - at % self.rules.video_window
        return self._counts(video_id, start, start + self.rules.video_window)

    def _counts(self, video_id: int, start: int, end: int) -> VideoCounts:
        inside = [each for each in self.of_video.get(video_id, ()) if start <= each.t < end]
        types = Counter(each.event_type for each in inside)
        return VideoCounts(
            *(start, end, types["video_view"], types["like"], types["comment"], types["share"]),
            completion_of(inside),
        )

    # -- creators

    def creator(self, creator_id: int, at: int, size: int | None = None) -> CreatorCounts:
        """Return a creator's counts in the window at a time, by the users' window and step."""
        window = self.rules.user_window if size is None else size
        start, end = hopping_window(at, window, self.rules.user_step)
        inside = [each for each in self.of_creator.get(creator_id, ()) if start <= each.t < end]
        types = Counter(each.event_type for each in inside)
        return CreatorCounts(
            *(start, end, types["video_view"], types["like"], types["comment"], types["share"]),
            types["follow"],
            sum(each.watched for each in inside if each.event_type == "video_view"),
            completion_of(inside),
        )

    def is_viral(self, counts: VideoCounts) -> bool:
        """Whether the counts of one window make a video viral."""
        reactions = counts.shares + counts.comments
        limit = Fraction(self.rules.viral_coefficient)
        return counts.views >= max(1, self.rules.viral_min_views) and (
            Fraction(reactions, counts.views) > limit
        )

    def viral(self, at: int) -> dict[int, VideoCounts]:
        """Return the videos that are viral at a time, with their rolling counts."""
        counts = {video_id: self.rolling(video_id, at) for video_id in self.of_video}
        return {video_id: each for video_id, each in counts.items() if self.is_viral(each)}


def completion_of(events: Iterable[Event]) -> Fraction | None:
    """Return the mean position of the views that have one, None if none has."""
    views = [each for each in events if each.event_type == "video_view"]
    positions = [each.position for each in views if each.position is not None]
    return sum(positions, Fraction(0)) / len(positions) if positions else None


def in_order(
    of_input: Iterable[Record], passed_on: Iterable[Record], order: Iterable[Record]
) -> Iterator[tuple[Record, bool]]:
    """Yield the records of both topics in the order of counting, each with whether it is passed on.

    The worker chooses the order and records it: an order record holds pairs of offsets. Input
    before the first offset was counted before passed-on records before the second. In any order,
    each record comes once, and the records of one partition of a topic keep their order.
    """
    waiting = {
        name: _by_partition(records) for name, records in (("in", of_input), ("on", passed_on))
    }
    for number, records in _by_partition(order).items():
        for at, end in (pair for each in records for pair in json.loads(each.value or b"")):
            for name, before in (("in", at), ("on", end)):
                left = waiting[name][number]
                while left and left[0].offset < before:
                    yield left.popleft(), name == "on"
    for name in ("in", "on"):
        for left in waiting[name].values():
            assert name == "in" or not left, "passed on, and said to be counted nowhere"
            yield from ((record, False) for record in left)


def _by_partition(records: Iterable[Record]) -> dict[int, deque[Record]]:
    found: dict[int, deque[Record]] = defaultdict(deque)
    for record in records:
        found[record.partition].append(record)
    return found


def hopping_window(at: int, size: int, step: int) -> tuple[int, int]:
    """Return [floor(t, step) + step - size, floor(t, step) + step)."""
    end = at - at % step + step
    return end - size, end
