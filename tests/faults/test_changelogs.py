"""Deleted changelogs: the last copy of a table is never deleted with them."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from faust.types import TP

from commands.progress import ProgressBar
from streaming.kafka.clients import REQUEST_TIMEOUT_MS
from streaming.restore import rewriting
from tables.rocks import RocksStore
from tables.rocks_options import RocksMemory
from tests.faults.aftermath import check_aftermath
from tests.faults.test_positions import forget_group, last_line
from tests.integration.stream import send_stream, untidy_stream

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.worker import Worker


pytestmark = pytest.mark.faults


def delete_topics(cluster: Cluster, *names: str) -> None:
    for done in cluster.admin.delete_topics(list(names)).values():
        done.result(30)


def restore(cluster: Cluster, worker: Worker, *options: str) -> subprocess.CompletedProcess[str]:
    return cluster.command("--datadir", str(worker.data_dir), "restore-changelog", *options)


@pytest.fixture
def stopped(cluster: Cluster) -> Worker:
    """A program that has counted events, and whose worker is stopped."""
    worker = cluster.worker().start()
    send_stream(cluster, untidy_stream(3000, seed=80))
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    return worker


def test_a_deleted_changelog_is_refused_and_written_anew_from_the_disk(
    cluster: Cluster, stopped: Worker
) -> None:
    """The disk has the last copy: a worker keeps it, and logs what to do."""
    delete_topics(cluster, cluster.user_changelog)
    stopped.launch()
    line = last_line(stopped)
    assert cluster.user_changelog in line
    assert "restore-changelog" in line
    done = restore(cluster, stopped)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert f"{cluster.user_changelog}, partitions 0, 1, 2, 3: rewritten" in said
    assert f"{cluster.video_changelog}, partitions 0, 1, 2, 3: in order" in said
    stopped.start()
    send_stream(cluster, untidy_stream(1000, seed=81))
    check_aftermath(cluster, stopped)


def lose_tail(store: RocksStore, records: int) -> None:
    """Let a copy stand beyond its changelog's end, as if that had lost its last ``records``."""
    assert store.offset is not None
    store.set_changelog_id(store.changelog_id, store.offset + records)


def test_a_changelog_that_lost_its_end_is_whole_after_runs_that_were_killed(
    cluster: Cluster, stopped: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that starts in between says so, and leaves the copy on its disk as it is."""
    copy_of_another = cluster.folder / "another"
    shutil.copytree(stopped.data_dir, copy_of_another)
    changelog = TP(cluster.user_changelog, 0)
    (path,) = stopped.data_dir.rglob("user_metrics-0.db")
    send, allowed = rewriting._send, list[None]()

    async def killed(*args: Any) -> None:
        if not allowed:
            raise InterruptedError
        allowed.pop()
        await send(*args)

    monkeypatch.setattr(rewriting, "_send", killed)
    settings = {
        "bootstrap_servers": [cluster.bootstrap],
        "security_protocol": "PLAINTEXT",
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
    }
    writer = rewriting.ChangelogWriter(cluster.app_id, settings, ProgressBar(quiet=True))
    store = RocksStore(path, RocksMemory.create(1 << 20))
    lose_tail(store, 100)
    store.close()
    # Before the first transaction, and twice after one.
    for transactions in (0, 1, 1):
        allowed[:] = [None] * transactions
        store = RocksStore(path, RocksMemory.create(1 << 20))
        with pytest.raises(InterruptedError):
            asyncio.run(writer.run([rewriting.Copy(changelog, store)], even_behind=False))
        store.close()
        stopped.launch()
        assert "restore-changelog" in last_line(stopped)

    done = restore(cluster, stopped)
    assert done.returncode == 0, done.stderr
    assert f"{cluster.user_changelog}, partitions 0: rewritten" in done.stdout.splitlines()
    assert "rewritten" not in restore(cluster, stopped).stdout
    # A copy that has read records which the changelog has lost is built anew.
    shutil.rmtree(stopped.data_dir)
    shutil.copytree(copy_of_another, stopped.data_dir)
    stopped.start()
    assert "user_metrics-changelog-0" in stopped.log.read_text()
    send_stream(cluster, untidy_stream(1000, seed=81))
    check_aftermath(cluster, stopped)


@pytest.mark.slow
def test_a_changelog_written_anew_builds_an_empty_disk(cluster: Cluster, stopped: Worker) -> None:
    """All changelogs were deleted. The rewrite runs twice, as after a run that was killed."""
    changelogs = cluster.creator_changelog, cluster.user_changelog, cluster.video_changelog
    delete_topics(cluster, *changelogs)
    assert restore(cluster, stopped).returncode == 0
    again = restore(cluster, stopped)
    assert again.returncode == 0
    for name, line in zip(changelogs, again.stdout.splitlines(), strict=True):
        assert line.startswith(name)
        assert line.endswith("in order")
    shutil.rmtree(stopped.data_dir)
    stopped.start()
    send_stream(cluster, untidy_stream(1000, seed=82))
    check_aftermath(cluster, stopped)


@pytest.mark.slow
def test_a_deleted_changelog_is_missed_also_without_a_disk(
    cluster: Cluster, stopped: Worker
) -> None:
    """The group's offsets show that there was data: a worker does not start with empty tables."""
    delete_topics(cluster, cluster.user_changelog)
    shutil.rmtree(stopped.data_dir)
    stopped.launch()
    assert f"{cluster.user_changelog} is empty" in last_line(stopped)


@pytest.mark.slow
def test_a_copy_that_is_older_than_the_groups_offsets_is_not_written(
    cluster: Cluster, stopped: Worker
) -> None:
    """The later copy may be on another worker's disk. A worker without one says so."""
    old = cluster.folder / "old"
    shutil.copytree(stopped.data_dir, old)
    stopped.start()
    send_stream(cluster, untidy_stream(1000, seed=83))
    cluster.wait_until_applied()
    assert stopped.terminate() == 0
    shutil.rmtree(stopped.data_dir)
    shutil.copytree(old, stopped.data_dir)
    delete_topics(cluster, cluster.user_changelog)
    done = restore(cluster, stopped)
    assert done.returncode == 1
    assert "a later one may be on another worker's disk" in done.stdout
    assert restore(cluster, stopped, "--even-behind").returncode == 0
    stopped.start()


@pytest.mark.slow
def test_nothing_is_written_over_the_changelog_of_another_table(
    cluster: Cluster, stopped: Worker
) -> None:
    """All was deleted, and another worker has started from nothing under the same name."""
    forget_group(cluster)
    delete_topics(cluster, cluster.user_changelog, cluster.video_changelog)
    other = cluster.worker("b").start()
    send_stream(cluster, untidy_stream(1000, seed=84))
    cluster.wait_until_applied()
    running = restore(cluster, stopped)
    assert running.returncode == 1
    assert "are running" in running.stderr
    assert other.terminate() == 0
    before = cluster.read(cluster.user_changelog)
    done = restore(cluster, stopped, "--even-behind")
    assert done.returncode == 1
    assert "holds another table" in done.stdout
    assert cluster.read(cluster.user_changelog) == before


def test_a_data_directory_without_tables_is_named(cluster: Cluster, tmp_path: Path) -> None:
    done = cluster.command("--datadir", str(tmp_path), "restore-changelog")
    assert done.returncode == 1
    assert f"no copy of a table in {tmp_path}" in done.stderr
