"""docs/security.md lists the rights of each program: with all it works, without one it names it.

This module grants and revokes the rights of that table.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from faust.types import TP

from auditing import AuditError
from bootstrap import create_app
from commands import restore_changelog as restoring
from commands.audit import audit
from commands.dead_letters import dead_letters
from commands.replay_dead_letters import replay_dead_letters
from commands.rescale import rescale
from commands.sending import EventSender, SendError
from commands.topics import topics
from exporting.export import Exporter
from rescaling.errors import RescaleError
from settings import load
from streaming.commit.purge import ROUNDS_KEPT, Purge
from streaming.errors import ConfigurationError, StartError
from streaming.kafka.rights import check_rights
from streaming.kafka.topics import admin_client, make_topics
from streaming.restore.rewriting import ChangelogWriter
from tests.authorized import authorized_broker
from tests.integration.stream import START, event
from tests.oracle_events import partition_of
from tests.ports import reserve_ports
from tests.worker import ROOT, TIMEOUT, wait_until
from topology import topology

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator
    from pathlib import Path

    from streaming.runtime.task_factory import TaskContext
    from tests.authorized import AuthorizedBroker, Grant
    from tests.cluster import Cluster

    #: Performs the first steps of a program, up to its check of rights.
    Begin = Callable[[TaskContext], Coroutine[Any, Any, None]]


class Row(NamedTuple):
    """A line of the table, with the default names."""

    program: str
    kind: str
    name: str
    right: str


ROWS = [
    Row(*row)
    for row in re.findall(
        r"^\| ([a-z -]+) \| (topic|group|transactional id) \| `(\S+)` \| ([A-Za-z]+) \|$",
        (ROOT / "docs" / "security.md").read_text(),
        re.MULTILINE,
    )
]


#: Partition of user 0, out of two partitions.
HOME = partition_of(0, 2)

#: Without it a worker runs, after a warning.
MERELY_WISE = [
    Row("worker", "topic", f"reels-{name}", "Delete")
    for name in ("events-repartition", "video-deltas", "creator-deltas")
]

#: Programs whose rights these programs need as well.
ALSO = {"rescale --alter-input": "rescale"}


#: These runs end before they report any progress.
NO_PROGRESS: Any = None


class Names(NamedTuple):
    """Names that replace the default names."""

    app_id: str
    events: str
    dead_letters: str
    viral: str


def grants_of(program: str, names: Names | Cluster) -> list[Grant]:
    """Return the rights that the table grants a program."""
    programs = {program, ALSO.get(program, program)}
    return [grant_of(row, names) for row in ROWS if row.program in programs]


def grant_of(row: Row, names: Names | Cluster) -> Grant:
    name = row.name
    for default, own in (
        ("engagement-events-dead-letter", names.dead_letters),
        ("engagement-events", names.events),
        ("viral-videos", names.viral),
        ("reels", names.app_id),
    ):
        if name.startswith(default):
            name = own + name.removeprefix(default)
            break
    right = re.sub("(?<=[a-z])(?=[A-Z])", "_", row.right)
    return row.kind.upper().replace(" ", "_"), name, right.upper()


@pytest.fixture(scope="module")
def broker() -> Iterator[AuthorizedBroker]:
    """Run a broker in place of the one that all tests share."""
    with authorized_broker() as broker:
        yield broker


@pytest.fixture(scope="module")
def make_program(
    broker: AuthorizedBroker, make_shared_cluster: Callable[..., Cluster]
) -> Callable[[], Cluster]:
    """Return a factory of programs that log in, with names as similar as the default names."""

    def make() -> Cluster:
        cluster = make_shared_cluster(TOPIC_PARTITIONS=2)
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
def as_super_user(broker: AuthorizedBroker) -> dict[str, str]:
    """Return the settings of a super user."""
    return {**dict.fromkeys(broker.environment, ""), "BROKER_URL": f"kafka://{broker.bootstrap}"}


@pytest.fixture(scope="module")
def make_stopped(
    make_program: Callable[[], Cluster], as_super_user: dict[str, str]
) -> Callable[[], Cluster]:
    """Return a factory of stopped programs that have counted events."""

    def make() -> Cluster:
        cluster = make_program()
        made = cluster.command("topics", **as_super_user)
        assert made.returncode == 0, made.stderr
        send(cluster)
        worker = cluster.worker(**as_super_user).start()
        cluster.wait_until_applied()
        assert worker.terminate() == 0
        return cluster

    return make


def send(cluster: Cluster) -> None:
    """Send a well placed event, one to be passed on, and one to be rejected."""
    with cluster.producer() as producer:
        producer.produce(cluster.events, event(0, 1, START, 1), b"0", HOME)
        producer.produce(cluster.events, event(0, 1, START, 2), b"0", 1 - HOME)
        producer.produce(cluster.events, b"no event", b"0", HOME)


@pytest.fixture(scope="module")
def cluster(make_stopped: Callable[[], Cluster]) -> Cluster:
    """A program that is stopped and stays unchanged."""
    return make_stopped()


@pytest.fixture
def grant(broker: AuthorizedBroker) -> Iterator[Callable[[Iterable[Grant]], None]]:
    """Return a function that grants rights for the duration of a test."""
    granted: list[Grant] = []

    def add(grants: Iterable[Grant]) -> None:
        missing = [each for each in dict.fromkeys(grants) if each not in granted]
        granted.extend(missing)
        if missing:
            broker.grant(*missing)

    yield add
    if granted:
        broker.revoke(*granted)


@pytest.fixture
def run(broker: AuthorizedBroker) -> Callable[..., str]:
    """Return a function that runs a program with exactly its rights, and returns its output."""

    def run(
        cluster: Cluster,
        program: str,
        *words: str,
        before: Iterable[str] = (),
        grants: Iterable[Grant] | None = None,
    ) -> str:
        rights = dict.fromkeys(grants or grants_of(program, cluster))
        broker.grant(*rights)
        done = cluster.command(*before, *program.split(), *words)
        broker.revoke(*rights)
        assert done.returncode == 0, done
        return done.stdout + done.stderr

    return run


def test_with_exactly_these_rights_everything_works(
    broker: AuthorizedBroker, make_program: Callable[[], Cluster], run: Callable[..., str]
) -> None:
    """One program after another, each with its own rights alone."""
    cluster = make_program()
    run(cluster, "topics")
    run(cluster, "topics --check")
    run(cluster, "generate", "--count", "500", "--rate", "0", "--seed", "1")
    send(cluster)
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
    assert "right Delete" not in worker.output()
    assert "rejected 1" in run(cluster, "audit")
    assert "malformed_json 1" in run(cluster, "dead-letters")
    replayed = run(cluster, "replay-dead-letters", "--reason", "malformed_json")
    assert "sent 1 dead letter of" in replayed
    for table in ("users", "videos"):
        out = str(cluster.folder / table)
        assert "rows" in run(cluster, f"export {table}", "--out", out, "--format", "jsonl")


def test_with_these_rights_a_lost_changelog_is_written_anew(
    broker: AuthorizedBroker, make_stopped: Callable[[], Cluster], run: Callable[..., str]
) -> None:
    cluster = make_stopped()
    name = cluster.user_changelog
    broker.admin.delete_topics([name])[name].result(TIMEOUT)
    wait_until(lambda: not cluster.has_topic(name), "the changelog is deleted")
    run(cluster, "topics")
    (worker,) = cluster.workers
    where = "--datadir", str(worker.data_dir)
    assert "rewritten" in run(cluster, "restore-changelog", before=where)


def test_with_these_rights_tables_are_moved_and_the_old_ones_deleted(
    make_stopped: Callable[[], Cluster], run: Callable[..., str]
) -> None:
    cluster = make_stopped()
    words = "--partitions", "4", "--to-app-id", f"{cluster.app_id}-32"
    assert "moved" in run(cluster, "rescale", *words)
    assert "moved" in run(cluster, "rescale --alter-input", *words)
    assert "deleted" in run(cluster, "rescale --delete-old", *words)


def test_with_the_rights_of_a_worker_and_of_topics_tables_are_rebuilt(
    cluster: Cluster, run: Callable[..., str], tmp_path: Path
) -> None:
    app_id = f"{cluster.app_id}-anew"
    letters, viral = f"{cluster.dead_letters}-{app_id}", f"{cluster.viral}-{app_id}"
    names = Names(app_id, cluster.events, letters, viral)
    grants = grants_of("worker", names) + grants_of("topics", names)
    words = "--to-app-id", app_id, "--to-datadir", str(tmp_path / "anew")
    assert "caught up" in run(cluster, "rebuild", *words, grants=grants)


async def test_without_the_right_to_delete_a_worker_warns_and_goes_on(
    cluster: Cluster, grant: Callable[[Iterable[Grant]], None], caplog: pytest.LogCaptureFixture
) -> None:
    withheld = [grant_of(row, cluster) for row in MERELY_WISE]
    grant(each for each in grants_of("worker", cluster) if each not in withheld)
    await start_worker(parts_of(cluster))
    lines = [each for each in caplog.messages if "Delete" in each]
    assert len(lines) == len(MERELY_WISE)
    assert any(cluster.repartition in line for line in lines)
    assert all("docs/security.md" in line for line in lines)


async def test_with_the_right_to_delete_counted_events_are_deleted(
    make_stopped: Callable[[], Cluster], grant: Callable[[Iterable[Grant]], None]
) -> None:
    cluster = make_stopped()
    grant(grants_of("worker", cluster))
    passed_on = TP(cluster.repartition, HOME)
    end = cluster.committed(cluster.repartition)[HOME]
    assert end > 0
    purge = Purge(parts_of(cluster).client_settings)
    for _ in range(ROUNDS_KEPT + 1):
        await purge.look({passed_on: end})
    assert cluster.read(cluster.repartition) == []


def parts_of(cluster: Cluster) -> TaskContext:
    data = cluster.workers[0].data_dir if cluster.workers else cluster.folder
    settings = load(cluster.environment | {"APP_DATADIR": str(data)})
    return create_app(settings).task_context


def app_of(parts: TaskContext) -> Any:
    """Return the part of an app that commands use."""
    return SimpleNamespace(task_context=parts)


async def start_worker(parts: TaskContext) -> None:
    specs = parts.topics
    async with admin_client(parts.client_settings) as admin:
        found = await make_topics(admin, specs, 1)
        await check_rights(admin, specs, found, parts.settings)


async def generate(parts: TaskContext) -> None:
    async with EventSender(parts.settings):
        pass


async def make_audit(parts: TaskContext) -> None:
    options = {"_memory": 1 << 20, "_share": None, "_processes": 1}
    command: Any = SimpleNamespace(quiet=True, state=SimpleNamespace(app="app"), **options)
    await audit._run(command, app_of(parts))


async def replay(parts: TaskContext) -> None:
    command: Any = SimpleNamespace(quiet=True, _reason="late", _dry_run=False, _to_input=False)
    await replay_dead_letters._replay(command, app_of(parts))


async def see_to_topics(parts: TaskContext) -> None:
    command: Any = SimpleNamespace(_parts=parts, say=print)
    await topics._ensure(command, parts.topics)


async def check_topics(parts: TaskContext) -> None:
    command: Any = SimpleNamespace(_parts=parts, json=False, _print_text=lambda *_: None)
    await topics._compare(command, parts.topics)


async def show_dead_letters(parts: TaskContext) -> None:
    command: Any = SimpleNamespace(
        _settings=parts.settings,
        app=app_of(parts),
    )
    await dead_letters._show(command)


def export(table: str) -> Begin:
    async def export(parts: TaskContext) -> None:
        (entry,) = [each for each in topology(parts.settings) if each.entity.plural == table]
        exported = entry.exported
        source = exported.source(parts.settings, table, parts.tables[entry.name], None)
        await Exporter(source, parts.client_settings, NO_PROGRESS)._check_topic()

    return export


async def restore_changelogs(parts: TaskContext) -> None:
    app = app_of(parts)
    await restoring._make_changelogs(app)
    copies = restoring._copies(app)
    assert copies
    try:
        writer = ChangelogWriter(parts.settings.app_id, parts.client_settings, NO_PROGRESS)
        await writer.run(copies, even_behind=False)
    finally:
        for copy in copies:
            copy.store.close()


def move(**options: bool) -> Begin:
    async def move(parts: TaskContext) -> None:
        command = rescale.__new__(rescale)
        command.__dict__ |= {
            "quiet": True,
            "_partitions": 4,
            "_app_id": f"{parts.settings.app_id}-32",
            "_events_topic": None,
            "_is_dry": False,
            "_alters_input": False,
            "_deletes_old": False,
            **options,
        }
        await command._run(app_of(parts))

    return move


BEGINNINGS: dict[str, Begin] = {
    "worker": start_worker,
    "generate": generate,
    "audit": make_audit,
    "replay-dead-letters": replay,
    "topics": see_to_topics,
    "topics --check": check_topics,
    "dead-letters": show_dead_letters,
    "export users": export("users"),
    "export videos": export("videos"),
    "restore-changelog": restore_changelogs,
    "rescale": move(),
    "rescale --alter-input": move(_alters_input=True),
    "rescale --delete-old": move(_deletes_old=True),
}
REFUSALS = StartError, SendError, AuditError, RescaleError, ConfigurationError


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if row not in MERELY_WISE],
    ids=lambda row: f"{row.program} {row.right} {row.name}",
)
async def test_without_any_one_of_them_one_line_names_it(
    row: Row,
    request: pytest.FixtureRequest,
    make_program: Callable[[], Cluster],
    grant: Callable[[Iterable[Grant]], None],
) -> None:
    # Topics that the program is to create must not exist.
    cluster = make_program() if row.program == "topics" else request.getfixturevalue("cluster")
    withheld = grant_of(row, cluster)
    grant(each for each in grants_of(row.program, cluster) if each != withheld)
    with pytest.raises(REFUSALS) as refused:
        await BEGINNINGS[row.program](parts_of(cluster))
    text = str(refused.value)
    assert "\n" not in text
    assert "docs/security.md" in text
    assert row.right in text
    kind, name, _ = withheld
    assert name.rstrip("*") in text, (kind, text)


def test_the_table_names_every_program() -> None:
    assert {row.program for row in ROWS} == BEGINNINGS.keys()
    assert set(MERELY_WISE) <= set(ROWS)
