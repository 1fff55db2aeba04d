"""Impossible exports, moves and rebuilds: one line, nothing half done, and a rerun works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.authorized import authorized_broker, rights_of_a_worker
from tests.faults.aftermath import QUICK
from tests.faults.small_disk import MIB, small_disk
from tests.faults.test_rescale import OLD, answers, latest, moved
from tests.integration.stream import send_stream, untidy_stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.worker import Json


pytestmark = pytest.mark.faults

USERS, VIDEOS = range(1, 200), range(1, 40)


def refused(cluster: Cluster, *words: str, **settings: str) -> str:
    done = cluster.command(*words, **settings)
    assert done.returncode == 1, done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def succeed(cluster: Cluster, *words: str, **settings: str) -> str:
    done = cluster.command(*words, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def work(cluster: Cluster, **settings: str) -> tuple[str, dict[str, tuple[int, Json]]]:
    """Let a worker count some events, and return its answers."""
    worker = cluster.worker(**settings).start()
    send_stream(cluster, untidy_stream(1500, seed=25))
    cluster.wait_until_applied()
    at = latest(worker, USERS)
    found = answers(worker, USERS, VIDEOS, at)
    assert worker.terminate() == 0
    return at, found


def topics_of(cluster: Cluster, app_id: str) -> set[str]:
    return {name for name in cluster.admin.list_topics().topics if name.startswith(f"{app_id}-")}


def test_an_export_to_a_full_disk_leaves_nothing_and_goes_once_there_is_space(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = make_cluster(**QUICK, TOPIC_PARTITIONS=OLD)
    cluster.create_topic(cluster.events)
    work(cluster)
    with small_disk(tmp_path / "small", 48 * MIB) as disk:
        words = "export", "users", "--out", str(disk.path / "out")
        disk.fill()
        line = refused(cluster, *words)
        assert "cannot be written to (No space left on device): choose another with --out" in line
        assert [path.name for path in disk.path.rglob("*") if path.is_file()] == ["ballast"]
        disk.free()
        assert " rows, as of " in succeed(cluster, *words)
    nobody = {"BROKER_URL": "kafka://127.0.0.1:1"}
    assert "no broker answers" in refused(cluster, *words[:-1], str(tmp_path / "out"), **nobody)
    assert not list((tmp_path / "out").glob("*"))


def test_an_audit_in_a_full_folder_says_so(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    """Exit code 1 would mean that the tables differ."""
    cluster = make_cluster(**QUICK, TOPIC_PARTITIONS=OLD)
    cluster.create_topic(cluster.events)
    work(cluster)
    with small_disk(tmp_path / "small", 128 << 10) as disk:
        done = cluster.command("audit", "--processes", "2", TMPDIR=str(disk.path))
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert done.stderr.startswith(f"error: the temporary folder {disk.path} is full (")
        assert not list(disk.path.iterdir())


def test_missing_rights_are_named_in_one_line_and_nothing_is_made(
    make_cluster: Callable[..., Cluster],
) -> None:
    """With a login that has the rights of the app's workers, and no others."""
    with authorized_broker() as broker:
        cluster = make_cluster(bootstrap=broker.bootstrap, **QUICK, TOPIC_PARTITIONS=OLD)
        cluster.create_topic(cluster.events)
        _, before = work(cluster)
        assert before
        cluster.environment |= broker.environment
        new = moved(cluster, 8)
        move = "rescale", "--partitions", "8", "--alter-input"
        out = cluster.folder / "out"

        assert cluster.user_changelog in refused(cluster, "export", "users", "--out", str(out))
        assert not list(out.glob("*"))
        assert cluster.events in refused(cluster, *move)
        rebuilt = f"{cluster.app_id}-rebuilt"
        words = "rebuild", "--to-app-id", rebuilt, "--to-datadir", str(cluster.folder / "rebuilt")
        assert f"Describe on group {rebuilt}" in refused(cluster, *words)

        broker.grant(*rights_of_a_worker(cluster))
        line = refused(cluster, *move)
        assert "grant" in line.lower() or "right" in line.lower()
        refused(cluster, *words)
        made = {name for app in (new.app_id, rebuilt) for name in topics_of(cluster, app)}
        assert not made
        assert " rows, as of " in succeed(cluster, "export", "users", "--out", str(out))


def test_topics_of_the_new_app_that_are_half_made_are_made_whole_or_refused(
    make_cluster: Callable[..., Cluster],
) -> None:
    """As after a run that was killed between two topics, or by hand with a wrong number."""
    cluster = make_cluster(**QUICK, TOPIC_PARTITIONS=OLD)
    cluster.create_topic(cluster.events)
    at, before = work(cluster)
    move = "rescale", "--partitions", "8", "--alter-input"
    new = moved(cluster, 8)
    cluster.create_topic(new.deltas, 3)
    line = refused(cluster, *move)
    assert f"topic {new.deltas} has 3 partitions, not 8" in line
    assert topics_of(cluster, new.app_id) == {new.deltas}
    cluster.admin.delete_topics([new.deltas])[new.deltas].result(30)

    cluster.create_topic(new.order, 8)
    cluster.create_topic(new.user_changelog, 8, cleanup_policy="compact")
    assert "moved" in succeed(cluster, *move)
    worker = new.worker("new").start()
    assert answers(worker, USERS, VIDEOS, at) == before
    new.close()


def test_a_rebuild_that_cannot_be_says_why_in_one_line(
    make_cluster: Callable[..., Cluster],
) -> None:
    """No broker, a running app, or an app whose tables have other windows."""
    cluster = make_cluster(**QUICK, TOPIC_PARTITIONS=OLD)
    cluster.create_topic(cluster.events)
    work(cluster)
    name = f"{cluster.app_id}-second"
    words = "rebuild", "--to-app-id", name, "--to-datadir", str(cluster.folder / "second")
    assert "no broker answers" in refused(cluster, *words, BROKER_URL="kafka://127.0.0.1:1")
    assert not topics_of(cluster, name)
    names = {"REELS_APP_ID": name, "REELS_VIRAL_TOPIC": f"{name}-viral"}
    second = cluster.worker("a second app", **names).start()
    cluster.wait_until_applied()
    assert f"workers of group {name} are running" in refused(cluster, *words)
    assert second.terminate() == 0
    line = refused(cluster, *words, REELS_USER_STEP="5m")
    assert "has ended with exit code 1" in line
    assert "has a window of 24h by 15m, but the settings say 24h by 5m" in line
