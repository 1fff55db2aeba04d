"""Untidy streams of events, as clients may send them.

The load comes from :mod:`loadgen`; this module adds what it lacks: events far out of order, events
repeated after the horizon, records without a key or with an odd one, and bytes that are no event.
"""

from __future__ import annotations

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from loadgen import Workload
from tests.oracle import HOUR, MINUTE
from tests.oracle_events import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from tests.cluster import Cluster

#: 2025-01-15T14:30:45.123Z
START = 1_736_951_445_123
MAX_ID = 2**63 - 1
#: Records sent together if a rate is given.
PACED = 50


class Way(Enum):
    """How a record gets to Kafka."""

    KEYED = "by the user's id, with Kafka's default partitioner"
    LIBRDKAFKA = "by the user's id, with librdkafka's default partitioner"
    UNKEYED = "without a key"
    ODDLY_KEYED = "by something else"
    ODDLY_IN_PLACE = "in the user's partition, with another key"


Events = list[tuple[int, "bytes | None"]]

WEIGHTS = {
    Way.KEYED: 70,
    Way.LIBRDKAFKA: 14,
    Way.UNKEYED: 8,
    Way.ODDLY_KEYED: 4,
    Way.ODDLY_IN_PLACE: 4,
}


class Sending(NamedTuple):
    """A record to be sent."""

    way: Way
    user_id: int
    value: bytes | None


def event(user_id: int, video_id: int, t: int, number: object, **changes: Any) -> bytes:
    """Return an event as JSON; ``t`` in ms, ``changes`` replace fields or (None) omit them."""
    fields = {
        "event_id": f"evt_{number}",
        "event_type": "video_view",
        "user_id": user_id,
        "video_id": video_id,
        "timestamp": iso(t),
        "metadata": {"view_duration_ms": 1000},
    }
    merged = {name: value for name, value in {**fields, **changes}.items() if value is not None}
    return json.dumps(merged).encode()


def iso(t: int) -> str:
    """Format a time in ms as RFC 3339."""
    seconds, ms = divmod(t, 1000)
    days, seconds = divmod(seconds, 86_400)
    day = date.fromordinal(719_163 + days)
    minutes, seconds = divmod(seconds, 60)
    return f"{day}T{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{ms:03d}Z"


def untidy_stream(count: int, seed: int = 1) -> list[Sending]:
    """Return at least ``count`` events: a long quiet time, then a busy one with viral videos.

    Users 1 and 2 send a 150th of all events within half an hour of the busy time. Nobody has more
    ids per hour than are remembered, not even if all passed on events arrive last.

    ::

        |-------- 28 hours, a third of the events, 3 videos viral -------|--- 100 minutes, 4 ---|
    """
    rng = random.Random(seed)
    quiet, busy = count // 3, count - count // 3
    events = _events(seed, quiet, START, 28 * HOUR, viral=3)
    begun = START + 28 * HOUR
    crowd = _events(seed + 1, busy, begun, 100 * MINUTE, viral=4)
    events += _with_busy_users(crowd, begun, 100 * MINUTE, count // 300)
    events = _again(_disordered(events, rng), rng)
    for user_id, value in nasty_values(begun):
        events.insert(rng.randrange(len(events) // 2, len(events)), (user_id, value))
    ways = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=len(events))
    return [Sending(way, *each) for way, each in zip(ways, events, strict=True)]


def _events(seed: int, count: int, start: int, duration: int, viral: int) -> Events:
    chunk = Workload(
        seed,
        users=3000,
        videos=400,
        invalid=0.03,
        duplicates=0.05,
        late=0.01,
        viral=viral,
        start_ms=start,
        ms_per_event=duration / count,
    ).chunk(count)
    return [*zip(chunk.users.tolist(), chunk.values, strict=True)]


def _with_busy_users(crowd: Events, start: int, duration: int, count: int) -> Events:
    """Insert ``count`` events of each of two users into a quarter of the crowd's duration."""
    events = list(crowd)
    first, span = len(crowd) // 3, max(1, len(crowd) // (4 * count))
    for number in reversed(range(count)):
        place = first + number * span
        t = start + duration * place // len(crowd)
        for user_id in (1, 2):
            value = event(user_id, number % 50, t, f"busy_{user_id}_{number}")
            events.insert(place, (user_id, value))
    return events


def _disordered(events: Events, rng: random.Random) -> Events:
    """Move some events far behind their place."""
    far = len(events) // 20
    places = [
        (place + (rng.randrange(far) if rng.random() < 0.03 else 0), place)
        for place in range(len(events))
    ]
    return [events[place] for _, place in sorted(places)]


def _again(events: Events, rng: random.Random) -> Events:
    """Repeat some events, shortly after and (past the horizon) long after the original."""
    sent: Events = []
    for each in events:
        sent.append(each)
        if rng.random() < 0.01:
            sent.append(sent[rng.randrange(max(0, len(sent) - 20_000), len(sent))])
    return sent


def nasty_values(t: int) -> Events:
    """Return valid and invalid values at the limits of an event and beyond, with their users."""

    def good(number: object, user_id: int = 7, **changes: Any) -> tuple[int, bytes]:
        return user_id, event(user_id, 11, t, f"nasty_{number}", **changes)

    _, plain = good("plain")
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    wrong_optionals: list[dict[str, Any]] = [
        {"metadata": {"view_duration_ms": -5}},
        {"metadata": {"view_duration_ms": 1.5, "video_position": 2}},
        {"metadata": {"view_duration_ms": "15000", "device_type": 3}},
        {"metadata": [1, 2]},
        {"metadata": "none"},
        {"creator_id": "x", "session_id": 5},
        {"unknown": {"a": [1, {"b": None}]}},
    ]
    times = [iso(t)[:-1] + suffix for suffix in ("999Z", "9999999z", "+00:00", "+05:30", "-01:00")]
    times += ["2016-12-31T23:59:60Z", "1969-12-31T23:59:59.999Z", "2999-01-01T00:00:00Z"]
    wrong_times = ["", "2025-01-15", "2025-13-01T00:00:00Z", "2025-01-15T25:00:00Z", iso(t)[:-1]]
    return [
        (7, None),
        (7, b""),
        (7, b" "),
        (7, b"\x00\xff\xfe" * 50),
        (7, plain.decode().encode("utf-16")),
        (7, b"\xef\xbb\xbf" + plain),
        (7, plain + b"\n \t"),
        (7, plain[:-1]),
        (7, plain + b"]"),
        (7, deep),
        (7, plain[:-1] + b', "deep": ' + b"[" * 200 + b"]" * 200 + b"}"),
        (7, plain[:-1] + b', "n": NaN}'),
        (7, plain[:-1] + b', "n": -Infinity}'),
        (7, plain[:-1] + b', "event_id": "evt_nasty_twice"}'),
        (7, plain[:-1] + b', "padding": "' + b"x" * (1 << 20) + b'"}'),
        (7, plain[:-1] + b', "padding": "' + b"x" * (3 << 20) + b'"}'),
        good("largest", padding="x" * ((1 << 20) - 200)),
        good("long_id" + "x" * 200),
        good("i" * (128 - len("evt_nasty_"))),
        good("zero", 0),
        good("largest_id", MAX_ID),
        good("beyond", MAX_ID + 1),
        good("umlaut_äöü_😀"),
        *(good(f"optional_{n}", **changes) for n, changes in enumerate(wrong_optionals)),
        *(good(f"time_{n}", timestamp=text) for n, text in enumerate(times)),
        *(good(f"wrong_time_{n}", timestamp=text) for n, text in enumerate(wrong_times)),
    ]


@contextmanager
def under_load(
    cluster: Cluster, sendings: Iterable[Sending], rate: float
) -> Iterator[Future[None]]:
    """Send ``rate`` records per second during the block; all have arrived at its end."""
    with ThreadPoolExecutor(1, "load") as pool:
        load = pool.submit(send_stream, cluster, sendings, rate)
        yield load
        load.result()


def send_stream(
    cluster: Cluster, sendings: Iterable[Sending], rate: float | None = None, **config: str
) -> None:
    """Send each record its way, ``rate`` per second; return when all have arrived.

    ``config`` configures the producers, with underscores for dots.
    """
    begun = time.monotonic()
    with (
        cluster.producer(**config) as java_like,
        cluster.producer(partitioner="consistent_random", **config) as librdkafka,
    ):
        for number, (way, user_id, value) in enumerate(sendings):
            if rate and number % PACED == 0:
                java_like.poll(0)
                librdkafka.poll(0)
                time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            key: bytes | None = b"%d" % user_id
            producer, place = java_like, {}
            if way is Way.LIBRDKAFKA:
                producer = librdkafka
            elif way is Way.UNKEYED:
                key = None
            elif way is Way.ODDLY_KEYED:
                key = b"session-%d" % number
            elif way is Way.ODDLY_IN_PLACE:
                key = b"device-%d" % number
                place = {"partition": partition_of(user_id, cluster.partitions)}
            while True:
                try:
                    producer.produce(cluster.events, value, key, **place)
                    break
                except BufferError:
                    producer.poll(0.1)
