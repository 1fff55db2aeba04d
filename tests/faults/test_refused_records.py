"""Records that a topic refuses: they are sent in a form that it accepts."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.aftermath import check_aftermath
from tests.integration import checks
from tests.integration.stream import (
    START,
    Sending,
    Way,
    event,
    send_stream,
    under_load,
    untidy_stream,
)
from tests.oracle import Rules
from tests.oracle_events import partition_of
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.cluster import Cluster
    from tests.oracle import Record


pytestmark = pytest.mark.faults

MIB = 1 << 20
ABORTED = 'reels_transactions_total{outcome="aborted"}'
USERS = range(100, 300)


def with_large_rejects(seed: int, *, large: int = 40) -> list[Sending]:
    """Return good events and small rejects, with rejected values of up to 1.5 MiB among them."""
    rng = random.Random(seed)
    stream = untidy_stream(1500, seed=seed)
    for number in range(large):
        size = rng.randrange(20_000, 3 * MIB // 2)
        value = event(7, 1, START, f"large-{number}", timestamp=None, padding="x" * size)
        place = rng.randrange(len(stream))
        stream.insert(place, Sending(Way.KEYED, rng.randrange(1000), value))
    return stream


def test_what_the_dead_letter_topic_does_not_take_is_cut_before_it_is_sent(
    cluster: Cluster,
) -> None:
    """A record that arrived compressed exceeds the topic's limit when it is forwarded."""
    cluster.create_topic(cluster.dead_letters, max_message_bytes="20000")
    worker = cluster.worker().start()
    send_stream(cluster, with_large_rejects(60), compression_type="gzip")
    cluster.wait_until_applied()
    metrics = worker.metrics()
    assert metrics[ABORTED] == 0
    assert metrics['reels_records_altered_total{part="value"}'] >= 40
    check_aftermath(cluster, worker)


def test_a_dead_letter_topic_that_takes_less_from_now_on_stops_nothing(cluster: Cluster) -> None:
    cluster.create_topic(cluster.dead_letters)
    worker = cluster.worker().start()
    stream = with_large_rejects(61)
    send_stream(cluster, stream[: len(stream) // 2])
    cluster.wait_until_applied()
    assert 'part="value"} 0.0' in worker.text("/metrics")
    cluster.alter_topic(cluster.dead_letters, max_message_bytes=20_000)
    with under_load(cluster, stream[len(stream) // 2 :], rate=2000):
        pass
    check_aftermath(cluster, worker)
    (line, *_) = [line for line in worker.output().splitlines() if "refuses" in line]
    assert f"topic {cluster.dead_letters}, partition" in line
    assert f"the dead letter of topic {cluster.events}, partition" in line
    assert "max.message.bytes" in line


def passed_on_topics(cluster: Cluster) -> set[str]:
    """Return the topics through which misplaced events are passed on."""
    names = {cluster.events, f"{cluster.app_id}-events-repartition"}
    found: set[str] = names & cluster.admin.list_topics(timeout=30).topics.keys()
    return found


def misplaced(
    cluster: Cluster,
    user: int,
    number: object,
    headers: Iterable[tuple[str, bytes | None]] = (),
    **place: int,
) -> None:
    """Send an event to a partition that is not its user's."""
    elsewhere = (partition_of(user, cluster.partitions) + 1) % cluster.partitions
    with cluster.producer(message_max_bytes=8 * MIB, compression_type="gzip") as producer:
        value = event(user, 1, START, number)
        producer.produce(cluster.events, value, None, elsewhere, headers=list(headers), **place)


def passed_on(cluster: Cluster) -> dict[int, Record]:
    """Return the copies of passed on events, by user."""
    found: dict[int, Record] = {}
    for topic in passed_on_topics(cluster):
        for record in cluster.read(topic):
            if record.key is not None and record.key.isdigit():
                found[int(record.key)] = record
    return found


@pytest.mark.parametrize("known", ["at the start", "later"])
def test_an_event_is_passed_on_with_the_time_of_now_where_its_own_is_refused(
    cluster: Cluster, known: str
) -> None:
    """A topic may refuse old timestamps, although the event was not old when it was sent."""
    worker = cluster.worker().start()
    old = int(time.time() * 1000) - 5 * 3_600_000
    if known == "at the start":
        assert worker.terminate() == 0
    else:
        # Until the topics have changed without the worker's knowledge.
        os.kill(worker.pid, signal.SIGSTOP)
    for user in USERS[:20]:
        misplaced(cluster, user, f"old-{user}", timestamp=old + user)
    for topic in passed_on_topics(cluster):
        cluster.alter_topic(topic, message_timestamp_before_max_ms=3_600_000)
    if known == "at the start":
        worker.start()
    else:
        os.kill(worker.pid, signal.SIGCONT)
    begun = int(time.time() * 1000) - 60_000
    cluster.wait_until_applied()
    found = passed_on(cluster)
    assert found.keys() == set(USERS[:20])
    for user, record in found.items():
        assert record.timestamp > begun
        assert record.headers == (("original.timestamp", b"%d" % (old + user)),)
    if known == "at the start":
        assert worker.metrics()[ABORTED] == 0
    check_aftermath(cluster, worker)


def test_headers_and_keys_that_are_large_once_they_are_unpacked_stop_nothing(
    cluster: Cluster,
) -> None:
    worker = cluster.worker().start()
    large, key = b"\0" * MIB, b"\0" * (MIB // 2)
    headers = [("trace", b"17"), ("large", large), ("none", None)]
    user = 50
    misplaced(cluster, user, "large-headers", headers)
    with cluster.producer(message_max_bytes=16 * MIB, compression_type="gzip") as producer:
        for number in range(3):
            producer.produce(cluster.events, b"no json", key, number, headers=headers)
        many = [("n", b"%d" % number) for number in range(50_000)]
        producer.produce(cluster.events, b"no json", b"many", 3, headers=many)
        for user_id in USERS:
            producer.produce(cluster.events, event(user_id, 1, START, user_id), b"%d" % user_id)
    cluster.wait_until_applied()
    assert worker.metrics()[ABORTED] == 0
    kept_headers: tuple[object, ...] = passed_on(cluster)[user].headers
    assert kept_headers == (
        *(("trace", b"17"), ("none", None)),
        ("original.headers.omitted", b"1"),
    )
    for letter in cluster.read(cluster.dead_letters):
        names = [name for name, _ in letter.headers]
        assert names[: len(checks.HEADERS)] == checks.HEADERS
        found = dict(letter.headers)
        if letter.key == b"many":
            kept = [value for name, value in letter.headers if name == "original.header.n"]
            assert kept == [value for _, value in many[: len(kept)]]
            assert len(kept) > 1000
            assert int(found["original.headers.omitted"]) == len(many) - len(kept)
        else:
            assert letter.key == key
            assert letter.value == b"no json"
            others: tuple[object, ...] = letter.headers[6:]
            assert others == (
                *(("original.header.trace", b"17"), ("original.header.none", None)),
                ("original.headers.omitted", b"1"),
            )
    oracle = checks.ask_oracle(cluster, Rules(cluster.partitions))
    assert oracle.outcomes["rejected"] == len(cluster.read(cluster.dead_letters)) == 4
    checks.check_users_over_http(worker, oracle, USERS)
    assert worker.terminate() == 0


def test_a_record_that_is_too_large_to_be_read_whole_says_what_it_lacks(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    key, user = b"\0" * (3 * MIB), 50
    headers = [("trace", b"17"), ("large", b"\0" * (5 * MIB)), ("last", b"18")]
    misplaced(cluster, user, "large-headers", headers)
    with cluster.producer(message_max_bytes=16 * MIB, compression_type="gzip") as producer:
        producer.produce(cluster.events, b"no json", key, 0, headers=headers)
    cluster.wait_until_applied()
    assert passed_on(cluster)[user].headers == (
        *(("trace", b"17"), ("original.headers.omitted", b"2")),
    )
    (letter,) = cluster.read(cluster.dead_letters)
    assert letter.value == b"no json"
    assert letter.key is not None
    assert key.startswith(letter.key)
    assert dict(letter.headers[6:]) == {
        "original.header.trace": b"17",
        "original.headers.omitted": b"2",
        "original.key.size": b"%d" % len(key),
    }
    assert worker.metrics()[ABORTED] == 0
    assert worker.terminate() == 0


def test_a_topic_that_takes_no_record_of_a_kind_ends_the_worker_with_one_line(
    cluster: Cluster,
) -> None:
    """Neither a wait nor another form helps: an operator must change the topic."""
    cluster.create_topic(cluster.dead_letters)
    worker = cluster.worker().start()
    cluster.alter_topic(cluster.dead_letters, cleanup_policy="compact")
    with cluster.producer() as producer:
        producer.produce(cluster.events, b"no json", None, 0)
        producer.produce(cluster.events, event(7, 1, START, 1), b"7")
    assert worker.wait_exit() == 1
    (line,) = [line for line in worker.output().splitlines() if "error: " in line]
    assert cluster.dead_letters in line
    assert "cleanup.policy" in line
    assert "Traceback" not in worker.output()
    cluster.alter_topic(cluster.dead_letters, cleanup_policy="delete")
    worker.start()
    check_aftermath(cluster, worker)


@pytest.mark.slow
def test_a_record_that_cannot_be_sent_in_any_form_is_tried_with_growing_pauses(
    cluster: Cluster,
) -> None:
    cluster.create_topic(cluster.dead_letters)
    worker = cluster.worker().start()
    # Less than the headers of a dead letter; transaction markers still fit.
    cluster.alter_topic(cluster.dead_letters, max_message_bytes=200)
    with cluster.producer() as producer:
        producer.produce(cluster.events, b"no json", None, 0)
    # Commits of other events in between do not shorten the pauses again.
    with under_load(cluster, untidy_stream(2000, seed=62), rate=150):
        pass
    wait_until(lambda: worker.output().count("refuses the dead letter") >= 3, "it is said again")
    begun, said = time.monotonic(), worker.output().count("refuses the dead letter")
    wait_until(lambda: worker.output().count("refuses the dead letter") >= said + 2, "and again")
    assert time.monotonic() - begun > 5
    cluster.alter_topic(cluster.dead_letters, max_message_bytes=8 * MIB)
    check_aftermath(cluster, worker)
