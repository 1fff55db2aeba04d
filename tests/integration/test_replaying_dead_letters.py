"""``faust -A app replay-dead-letters`` sends rejected events again, once each."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.integration import checks
from tests.integration.stream import START, event
from tests.oracle import HOUR, Rules
from tests.oracle_events import partition_of
from tests.worker import ROOT, TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster


LATE = 3000


def replay(cluster: Cluster, *options: str) -> subprocess.CompletedProcess[str]:
    return cluster.command("replay-dead-letters", *options)


def records_in(cluster: Cluster, topic: str) -> Counter[tuple[int, bytes | None, bytes | None]]:
    return Counter((record.partition, record.key, record.value) for record in cluster.read(topic))


@pytest.fixture(scope="module")
def cluster(make_shared_cluster: Callable[..., Cluster]) -> Cluster:
    """A program that has rejected late events and events that are not JSON."""
    cluster = make_shared_cluster()
    cluster.create_topic(cluster.events)
    home = partition_of(7, cluster.partitions)
    with cluster.producer() as producer:
        producer.produce(cluster.events, event(7, 1, START + 48 * HOUR, "now"), b"7", home)
        # A new leader may refuse the first batch, which would then be sent after the others.
        assert producer.flush(TIMEOUT) == 0
        for number in range(LATE):
            value = event(7, 1, START, f"late-{number}")
            producer.produce(cluster.events, value, b"odd-%d" % number, home)
        for number in range(5):
            producer.produce(cluster.events, b"no json %d" % number, None, home)
    worker = cluster.worker().start()
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    return cluster


def test_a_dry_run_counts_and_sends_nothing(cluster: Cluster) -> None:
    done = replay(cluster, "--reason", "late", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"{LATE:,} dead letters of reason late would be sent again" in done.stdout
    assert "5 with other reasons" in done.stdout
    assert records_in(cluster, cluster.repartition) == Counter()


def test_events_of_one_reason_go_to_their_users_partition_once_and_none_to_the_input(
    cluster: Cluster,
) -> None:
    before = records_in(cluster, cluster.events)
    home = partition_of(7, cluster.partitions)
    late = Counter(
        (home, b"7", value) for _, key, value in before if (key or b"").startswith(b"odd-")
    )
    assert late.total() == LATE
    first = replay(cluster, "--reason", "late")
    assert first.returncode == 0, first.stderr
    assert f"sent {LATE:,} dead letters of reason late again" in first.stdout
    assert records_in(cluster, cluster.repartition) == late
    again = replay(cluster, "--reason", "late")
    assert again.returncode == 0, again.stderr
    assert "sent 0 dead letters" in again.stdout
    assert records_in(cluster, cluster.repartition) == late
    assert records_in(cluster, cluster.events) == before


def test_events_go_to_the_input_when_that_is_said_with_bytes_key_and_partition(
    cluster: Cluster,
) -> None:
    before = records_in(cluster, cluster.events)
    no_json = Counter(each for each in before if (each[2] or b"").startswith(b"no json"))
    others = replay(cluster, "--reason", "malformed_json", "--to-input")
    assert "sent 5 dead letters" in others.stdout
    assert records_in(cluster, cluster.events) == before + no_json


def test_what_is_sent_back_is_judged_anew(cluster: Cluster) -> None:
    """They are still late, so they are dead letters again, for another run."""
    worker = cluster.worker("again").start()
    cluster.wait_until_applied(TIMEOUT)
    oracle = checks.ask_oracle(cluster, Rules(cluster.partitions), replayed=LATE)
    checks.check_dead_letters(cluster, oracle)
    assert oracle.outcomes["late"] == 2 * LATE
    assert worker.terminate() == 0


def test_what_was_cut_or_is_too_large_stays_and_the_rest_goes_back_with_its_headers(
    make_cluster: Callable[..., Cluster],
) -> None:
    """The input may accept less than the dead-letter topic, and decompressed records are larger."""
    cluster = make_cluster(TOPIC_PARTITIONS=1)
    cluster.create_topic(cluster.events, max_message_bytes="50000")
    cluster.create_topic(cluster.dead_letters)
    source = [
        *(("reason", b"late"), ("detail", b"x"), ("source.topic", cluster.events.encode())),
        *(("source.partition", b"0"), ("source.offset", b"0")),
    ]
    with cluster.producer() as producer:
        for value, headers in (
            (b"whole", [("original.header.trace", b"17"), ("original.headers.omitted", b"1")]),
            (b"cut", [("original.size", b"900"), ("original.sha256", b"0")]),
            (b"key", [("original.key.size", b"900"), ("original.key.sha256", b"0")]),
            (b"x" * 60_000, []),
        ):
            producer.produce(cluster.dead_letters, value, b"k", headers=[*source, *headers])
    dry = replay(cluster, "--reason", "late", "--to-input", "--dry-run")
    assert "1 dead letter of reason late would be sent again" in dry.stdout
    done = replay(cluster, "--reason", "late", "--to-input")
    assert done.returncode == 0, done.stderr
    assert "sent 1 dead letter of" in done.stdout
    assert "skipped 3 that were cut, or are too large for the topic" in done.stdout
    (sent,) = cluster.read(cluster.events)
    assert (sent.key, sent.value, sent.headers) == (b"k", b"whole", (("trace", b"17"),))
    # The topic may accept them later.
    with cluster.producer() as producer:
        producer.produce(cluster.dead_letters, b"x" * 70_000, b"k", headers=source)
        producer.produce(cluster.dead_letters, b"last", b"k", headers=source)
    again = replay(cluster, "--reason", "late", "--to-input")
    assert "sent 1 dead letter of" in again.stdout
    assert "skipped 4 that were cut, or are too large for the topic" in again.stdout
    assert [each.value for each in cluster.read(cluster.events)] == [b"whole", b"last"]


def test_a_run_that_is_killed_and_repeated_sends_each_event_once(
    make_cluster: Callable[..., Cluster],
) -> None:
    """The first run is killed between its transactions, or within one."""
    cluster = make_cluster(TOPIC_PARTITIONS=2)
    cluster.create_topic(cluster.events)
    cluster.create_topic(cluster.dead_letters)
    cluster.create_topic(cluster.repartition)
    count = 40_000
    with cluster.producer() as producer:
        for number in range(count):
            headers = {
                "reason": b"late",
                "source.topic": cluster.events.encode(),
                "source.partition": b"%d" % (number % 2),
            }
            value = b"%d" % number + b"x" * 500
            producer.produce(cluster.dead_letters, value, b"", number % 2, headers=headers)
            producer.poll(0)
    command = [sys.executable, "-m", "faust", "-A", "app", "replay-dead-letters"]
    with subprocess.Popen(
        [*command, "--reason", "late"],
        cwd=ROOT,
        env=cluster.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as run:
        while run.poll() is None and not cluster.read(cluster.repartition):
            pass
        run.kill()
    done = replay(cluster, "--reason", "late")
    assert done.returncode == 0, done.stderr
    found = [record.value for record in cluster.read(cluster.repartition)]
    assert len(found) == len(set(found)) == count


def test_a_reason_that_does_not_exist_is_an_error_that_names_those_that_do(
    cluster: Cluster,
) -> None:
    done = replay(cluster, "--reason", "nonsense")
    assert done.returncode == 2
    assert "unknown_event_type" in done.stderr
