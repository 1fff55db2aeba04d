"""docs/security.md lists the rights of each program: with those it works, without one it says so.

The table there is what this module grants and takes back.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from auditing import AuditError
from bootstrap import create_app
from commands.audit import audit
from commands.replay_dead_letters import replay_dead_letters
from commands.sending import EventSender, SendError
from commands.topics import topics
from settings import load
from streaming.errors import StartError
from streaming.kafka.rights import check_rights
from streaming.kafka.topics import admin_client, make_topics
from tests.authorized import authorized_broker
from tests.integration.stream import START, event
from tests.ports import reserve_ports
from tests.worker import ROOT


class Row(NamedTuple):
    """A line of the table, with the default names."""

    program: str
    kind: str
    name: str
    right: str


ROWS = [
    Row(*row)
    for row in re.findall(
        r"^\| ([a-z-]+) \| (topic|group|transactional id) \| `(\S+)` \| ([A-Z][a-z]+) \|$",
        (ROOT / "docs" / "security.md").read_text(),
        re.MULTILINE,
    )
]


def grants_of(program, cluster):
    """Return what the table grants a program, with the cluster's names."""
    return [grant_of(row, cluster) for row in ROWS if row.program == program]


def grant_of(row, cluster):
    name = row.name
    for default, own in (
        ("engagement-events", cluster.events),
        ("viral-videos", cluster.viral),
        ("reels", cluster.app_id),
    ):
        name = re.sub(f"^{default}", own, name)
    return row.kind.upper().replace(" ", "_"), name, row.right.upper()


@pytest.fixture(scope="module")
def broker():
    """Run a broker in the place of the one that all tests share."""
    with authorized_broker() as broker:
        yield broker


@pytest.fixture(scope="module")
def make_program(broker, make_shared_cluster):
    """Programs that log in, with names that have as much in common as the default names."""

    def make():
        cluster = make_shared_cluster(TOPIC_PARTITIONS=1)
        cluster.events = f"in-{cluster.app_id}"
        cluster.dead_letters = f"{cluster.events}-dead-letter"
        cluster.viral = f"out-{cluster.app_id}"
        cluster.environment |= {
            **broker.environment,
            "REELS_EVENTS_TOPIC": cluster.events,
            "REELS_DEAD_LETTER_TOPIC": cluster.dead_letters,
            "REELS_VIRAL_TOPIC": cluster.viral,
        }
        return cluster

    return make


@pytest.fixture(scope="module")
def cluster(broker, make_program):
    """A program whose topics exist."""
    cluster = make_program()
    logins = dict.fromkeys(broker.environment, "")
    as_super_user = {**logins, "BROKER_URL": f"kafka://{broker.bootstrap}"}
    made = cluster.command("topics", **as_super_user)
    assert made.returncode == 0, made.stderr
    return cluster


@pytest.fixture
def grant(broker):
    """Grant rights for the length of a test."""
    granted = []

    def add(grants):
        missing = [each for each in dict.fromkeys(grants) if each not in granted]
        granted.extend(missing)
        if missing:
            broker.grant(*missing)

    yield add
    if granted:
        broker.revoke(*granted)


def test_with_exactly_these_rights_everything_works(broker, make_program):
    """One program after the other, each with its own rights alone."""
    cluster = make_program()

    def run(program, *words):
        grants = list(dict.fromkeys(grants_of(program, cluster)))
        broker.grant(*grants)
        done = cluster.command(program, *words)
        broker.revoke(*grants)
        return done

    made = run("topics")
    assert made.returncode == 0, made.stderr
    generated = run("generate", "--count", "500", "--rate", "0", "--seed", "1")
    assert generated.returncode == 0, generated.stderr
    with cluster.producer() as producer:
        # One event to be passed on, one to be rejected.
        producer.produce(cluster.events, event(1, 1, START, 1), b"another key")
        producer.produce(cluster.events, b"no event", b"1")
    rights = grants_of("worker", cluster)
    broker.grant(*rights)
    worker = cluster.worker().start()
    cluster.wait_until_applied()
    nobody = {"BROKER_URL": f"kafka://127.0.0.1:{reserve_ports(1)[0]}"}
    status = cluster.command("status", "--url", worker.url(""), **nobody)
    assert status.returncode == 0, status.stderr
    assert worker.terminate() == 0
    broker.revoke(*rights)
    assert "Traceback" not in worker.output()
    audited = run("audit")
    assert audited.returncode == 0, audited
    assert "rejected 1" in audited.stdout
    replayed = run("replay-dead-letters", "--reason", "malformed_json")
    assert "sent 1 dead letters" in replayed.stdout, replayed.stderr


def parts_of(cluster):
    settings = load(cluster.environment)
    return create_app(settings).task_context


async def start_worker(parts):
    specs = parts.topics
    async with admin_client(parts.client_settings) as admin:
        found = await make_topics(admin, specs, 1)
        await check_rights(admin, specs, found, parts.settings)


async def generate(parts):
    async with EventSender(parts.settings):
        pass


async def make_audit(parts):
    command = SimpleNamespace(quiet=True, _memory=1 << 20)
    await audit._audit(command, SimpleNamespace(task_context=parts))


async def replay(parts):
    command = SimpleNamespace(quiet=True, _reason="late", _dry_run=False, _to_input=False)
    await replay_dead_letters._replay(command, SimpleNamespace(task_context=parts))


async def see_to_topics(parts):
    await topics._ensure(SimpleNamespace(_parts=parts, say=print), parts.topics)


BEGINNINGS = {
    "worker": start_worker,
    "generate": generate,
    "audit": make_audit,
    "replay-dead-letters": replay,
    "topics": see_to_topics,
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.program} {row.right} {row.name}")
async def test_without_any_one_of_them_one_line_names_it(row, request, make_program, grant):
    # What is to be made may not exist.
    cluster = make_program() if row.program == "topics" else request.getfixturevalue("cluster")
    withheld = grant_of(row, cluster)
    grant(each for each in grants_of(row.program, cluster) if each != withheld)
    with pytest.raises((StartError, SendError, AuditError)) as refused:
        await BEGINNINGS[row.program](parts_of(cluster))
    text = str(refused.value)
    assert "\n" not in text
    assert "docs/security.md" in text
    assert row.right in text
    kind, name, _ = withheld
    assert name.rstrip("*") in text, (kind, text)


def test_the_table_names_every_program():
    assert {row.program for row in ROWS} == BEGINNINGS.keys()
