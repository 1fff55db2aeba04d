"""Traffic that is entirely invalid or concentrated on one key, and misbehaving clients."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.aftermath import check_aftermath
from tests.integration.stream import START, Sending, Way, event, under_load, untidy_stream
from tests.oracle import HOUR

if TYPE_CHECKING:
    from tests.cluster import Cluster


pytestmark = pytest.mark.faults


def bad_value(reason: str, user: int, number: int) -> bytes:
    """Return a value that is rejected for the given reason."""
    good: dict[str, Any] = {
        "user_id": user,
        "video_id": 3,
        "t": START + 30 * HOUR,
        "number": f"bad-{number}",
    }
    return {
        "malformed_json": lambda: event(**good)[:-5],
        "not_an_object": lambda: b"[%d]" % number,
        "missing_field": lambda: event(**good, timestamp=None),
        "invalid_field": lambda: event(**good, timestamp="yesterday"),
        "unknown_event_type": lambda: event(**good, event_type="wave"),
        "too_large": lambda: event(**good, padding="x" * (1 << 20)),
        "future_timestamp": lambda: event(**good, timestamp="2999-01-01T00:00:00Z"),
        "late": lambda: event(**good | {"t": START}),
    }[reason]()


def test_each_kind_of_poison_at_all_of_the_traffic_is_dead_lettered_and_passed(
    cluster: Cluster,
) -> None:
    """For each kind, a stretch of that kind alone, with good events before and after."""
    reasons = {
        **dict.fromkeys(("malformed_json", "not_an_object", "missing_field"), 1500),
        **dict.fromkeys(("invalid_field", "unknown_event_type", "future_timestamp"), 1500),
        "too_large": 40,
        "late": 1500,
    }
    ahead = [Sending(Way.KEYED, u, event(u, 1, START + 30 * HOUR, f"a{u}")) for u in range(200)]
    poison = [
        Sending(Way.KEYED, number % 200, bad_value(reason, number % 200, number))
        for reason, count in reasons.items()
        for number in range(count)
    ]
    behind = [Sending(Way.KEYED, u, event(u, 2, START + 31 * HOUR, f"b{u}")) for u in range(200)]
    worker = cluster.worker().start()
    with under_load(cluster, ahead + poison + behind, rate=4000):
        pass
    oracle = check_aftermath(cluster, worker)
    found = {letter.reason for letter in oracle.dead_letters}
    assert found == reasons.keys()
    assert oracle.outcomes["applied"] == 400


@pytest.mark.slow
def test_one_video_at_half_of_all_traffic_and_one_user_at_a_tenth_are_counted(
    cluster: Cluster,
) -> None:
    rng = random.Random(50)
    types = ["video_view"] * 6 + ["like", "comment", "share", "save"]
    stream = []
    for number in range(30_000):
        user = 7 if rng.random() < 0.1 else rng.randrange(10, 3000)
        video = 9 if rng.random() < 0.5 else rng.randrange(10, 500)
        kind = rng.choice(types)
        # Two hours in total, so that a user's ids of one hour stay below the remembered number.
        value = event(user, video, START + number * 240, f"skew-{number}", event_type=kind)
        stream.append(Sending(Way.KEYED, user, value))
        if number % 20 == 0:
            stream.append(stream[rng.randrange(max(0, len(stream) - 500), len(stream))])
    worker = cluster.worker().start()
    with under_load(cluster, stream, rate=5000):
        pass
    oracle = check_aftermath(cluster, worker)
    assert oracle.outcomes.keys() == {"applied", "duplicate"}
    assert len(oracle.of_video[9]) > 10_000


def test_clients_that_misbehave_do_not_stop_the_stream_nor_other_clients(cluster: Cluster) -> None:
    """A thousand idle connections, clients that do not read, and bytes that are not HTTP."""
    worker = cluster.worker().start()
    rng = random.Random(51)
    with ExitStack() as stack, under_load(cluster, untidy_stream(12_000, seed=51), rate=1500):

        def connect() -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", worker.port), timeout=10)
            return stack.enter_context(connection)

        for _ in range(1000):
            connect()
        for _ in range(50):
            # Sends many requests and never reads: its buffers fill, and no other client's.
            reader = connect()
            reader.setblocking(False)
            with ExitStack() as ignored:
                ignored.push(lambda kind, *_: kind is BlockingIOError)
                for _ in range(200):
                    reader.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(200):
            garbage = connect()
            with ExitStack() as ignored:
                ignored.push(lambda kind, *_: kind is not None and issubclass(kind, OSError))
                garbage.sendall(rng.randbytes(rng.randrange(1, 20_000)))
        assert worker.status("/healthz") == 200
        answers = worker.get_all(["/readyz"] * 100)
        assert {status for status, _ in answers} == {200}
    check_aftermath(cluster, worker)
