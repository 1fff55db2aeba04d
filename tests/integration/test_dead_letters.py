"""``dead-letters`` shows rejected events; ``replay-dead-letters`` sends some of them, once each."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from commands import shapes
from embedded.process import BoundProcess
from tests.integration.stream import START, event
from tests.oracle import HOUR
from tests.oracle_events import partition_of
from tests.worker import ROOT, TIMEOUT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster import Cluster


ESCAPE = "\x1b[31m"


@pytest.fixture(scope="module")
def cluster(make_shared_cluster: Callable[..., Cluster]) -> Cluster:
    """An app with six dead letters of four reasons, next to foreign records."""
    cluster = make_shared_cluster(TOPIC_PARTITIONS=2)
    cluster.create_topic(cluster.events)
    home = partition_of(7, cluster.partitions)
    broken = json.loads(event(7, 1, START + 48 * HOUR, "broken"))
    with cluster.producer() as producer:
        producer.produce(cluster.events, event(7, 1, START + 48 * HOUR, "now"), b"7", home)
        assert producer.flush(TIMEOUT) == 0
        for value in (
            b"no json " + ESCAPE.encode(),
            b"\xff\xfe",
            json.dumps({**broken, "event_id": "wrong-1", "user_id": "7"}).encode(),
            json.dumps({**broken, "event_id": "wrong-2", "user_id": "7"}).encode(),
            json.dumps({**broken, "event_id": "odd", "event_type": "wave"}).encode(),
            event(7, 1, START, 0, event_id="late"),
        ):
            producer.produce(cluster.events, value, b"7", home)
    worker = cluster.worker().start()
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    ours = {"reason": b"late", "detail": b"", "source.topic": cluster.events.encode()}
    place = {"source.partition": b"0", "source.offset": b"0"}
    with cluster.producer() as producer:
        for headers in (
            {},
            {**ours, **place, "reason": b"\xff"},
            {**ours, **place, "source.topic": b"elsewhere"},
            {**ours, "source.partition": b"first", "source.offset": b"0"},
        ):
            producer.produce(cluster.dead_letters, b"another's", b"", 0, headers=headers)
    return cluster


def shown(cluster: Cluster, *options: str) -> tuple[list[shapes.DeadLetter], str]:
    done = cluster.command("dead-letters", "--json", *options)
    assert done.returncode == 0, done.stderr
    letters = [
        msgspec.json.decode(line, type=shapes.DeadLetter)
        for line in done.stdout.split("\n")
        if line
    ]
    return letters, done.stderr


def test_each_dead_letter_says_why_and_from_where_and_those_of_others_are_counted(
    cluster: Cluster,
) -> None:
    """One JSON object per line, as documented; the totals go to stderr."""
    letters, said = shown(cluster)
    assert [each.reason for each in letters] == [
        *("malformed_json", "malformed_json", "invalid_field", "invalid_field"),
        *("unknown_event_type", "late"),
    ]
    sent = {(r.partition, r.offset): r.value for r in cluster.read(cluster.events)}
    for each in letters:
        value = sent[each.source.partition, each.source.offset]
        assert each.source.topic == cluster.events
        assert each.value is None or each.value.encode() == value
        assert (each.value is None) == (value == b"\xff\xfe") == (each.value_base64 is not None)
    assert [each.event_id for each in letters][2:] == ["wrong-1", "wrong-2", "odd", "late"]
    assert "6 of 6 dead letters: " in said
    assert "skipped 4 records" in said


def test_reason_limit_and_since_choose_among_them(cluster: Cluster) -> None:
    """The newest are shown, oldest first; all are counted."""
    letters, said = shown(cluster, "--reason", "invalid_field", "--limit", "1")
    assert [each.event_id for each in letters] == ["wrong-2"]
    assert "1 of 2 dead letters" in said
    assert len(shown(cluster, "--since", "1h")[0]) == 6
    assert shown(cluster, "--since", "2100-01-01T00:00:00Z")[0] == []
    done = cluster.command("dead-letters", "--since", "yesterday")
    assert done.returncode == 2
    assert "2h for two hours ago" in done.stderr


def test_people_can_read_them_and_no_value_reaches_the_terminal_raw(cluster: Cluster) -> None:
    """Control characters are escaped, because values come from unknown clients."""
    done = cluster.command("dead-letters")
    assert done.returncode == 0, done.stderr
    assert "late: before 2025-" in done.stdout
    assert f"from {cluster.events}-{partition_of(7, 2)} offset 1, dead letter" in done.stdout
    assert "\x1b" not in done.stdout
    assert r"no json \u001b[31m" in done.stdout


@contextmanager
def following(cluster: Cluster, folder: Path) -> Iterator[Callable[[], str]]:
    log = folder / "followed"
    command = [sys.executable, "-m", "faust", "-A", "app", "dead-letters", "--follow", "--json"]
    process = BoundProcess(command, output=log, env=cluster.environment)
    process.start()
    yield log.read_text
    process.kill()


def test_new_ones_are_shown_as_they_come(cluster: Cluster, tmp_path: Path) -> None:
    """With ``--follow`` the command continues."""
    with following(cluster, tmp_path) as said:
        wait_until(lambda: " of " in said(), "what there is has been shown")
        headers = {
            "reason": b"late",
            "detail": b"new",
            "source.topic": cluster.events.encode(),
            "source.partition": b"1",
            "source.offset": b"5",
        }
        # Later tests count dead letters of other reasons.
        with cluster.producer() as producer:
            producer.produce(cluster.dead_letters, b"fresh", b"", 1, headers=headers)
        wait_until(lambda: '"fresh"' in said(), "the new one is shown")


def test_an_unread_end_of_the_output_is_no_error(cluster: Cluster) -> None:
    """``dead-letters | head`` ends quietly."""
    command = f"{sys.executable} -m faust -A app dead-letters --json --limit 1000 | head -c 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=ROOT,
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in {0, 128 + signal.SIGPIPE}
    assert "Traceback" not in done.stderr


def replay(cluster: Cluster, *options: str) -> subprocess.CompletedProcess[str]:
    return cluster.command("replay-dead-letters", *options)


def test_a_replay_that_cannot_help_says_so_beforehand(cluster: Cluster) -> None:
    """The same bytes would be rejected again."""
    for reason, advice in (
        ("invalid_field", "--from"),
        ("late", "faust -A app rebuild"),
        ("future_timestamp", None),
    ):
        said = replay(cluster, "--reason", reason, "--dry-run").stderr
        assert (advice is None) == ("does not help" not in said), said
        assert advice is None or advice in said


def test_single_ones_and_those_from_a_time_on_are_sent_once(cluster: Cluster) -> None:
    """Whatever an earlier run selected, each is sent once, and a later run sends the rest."""
    reason = "--reason", "invalid_field"
    first = replay(cluster, *reason, "--id", "wrong-2")
    assert "sent 1 dead letter of" in first.stdout, first.stderr
    again = replay(cluster, *reason, "--id", "wrong-2", "--id", "nobody")
    assert "sent 0 dead letters" in again.stdout
    assert "skipped 1 that an earlier run sent" in again.stdout
    assert "sent 0 " in replay(cluster, *reason, "--since", "2100-01-01T00:00:00Z").stdout
    assert "sent 1 " in replay(cluster, *reason, "--since", "1h").stdout
    assert "sent 0 " in replay(cluster, *reason).stdout
    found = [json.loads(r.value or b"")["event_id"] for r in cluster.read(cluster.repartition)]
    assert sorted(found) == ["wrong-1", "wrong-2"]


def test_corrected_events_go_to_the_input_once_and_count(cluster: Cluster, tmp_path: Path) -> None:
    """The lines of ``dead-letters --json`` are sent with their corrected values."""
    (letter,), _ = shown(cluster, "--reason", "unknown_event_type")
    right = {**json.loads(letter.value or ""), "event_type": "like"}
    line = {**msgspec.to_builtins(letter), "value": json.dumps(right)}
    path = tmp_path / "corrected.jsonl"
    options = ("--reason", "unknown_event_type", "--from", str(path))
    path.write_text(json.dumps({**line, "value": letter.value}))
    wrong = replay(cluster, *options, "--to-input")
    assert wrong.returncode == 2
    assert "line 1 would be rejected again: unknown_event_type" in wrong.stderr
    path.write_text(json.dumps({**line, "place": {**line["place"], "offset": 10**6}}))
    assert (
        "without a dead letter with that reason" in replay(cluster, *options, "--to-input").stderr
    )
    path.write_text(json.dumps(line) + "\n")
    assert "use --from with --to-input" in replay(cluster, *options).stderr
    before = len(cluster.read(cluster.events))
    assert "sent 1 " in replay(cluster, *options, "--to-input").stdout
    assert "sent 0 " in replay(cluster, *options, "--to-input").stdout
    *_, sent = sorted(cluster.read(cluster.events), key=lambda r: r.timestamp)
    assert len(cluster.read(cluster.events)) == before + 1
    assert (sent.key, json.loads(sent.value or b"")) == (b"7", right)
    worker = cluster.worker("again").start()
    cluster.wait_until_applied()
    assert worker.get("/users/7")["likes"] == 1
    assert worker.terminate() == 0
    audit = cluster.command("--json", "audit")
    assert audit.returncode == 0, audit.stdout
    assert msgspec.json.decode(audit.stdout, type=shapes.Audit).clean
