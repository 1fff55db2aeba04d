"""Disks that are lost, old, foreign, damaged or full: the changelog is authoritative."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from embedded import EmbeddedKafka
from tests.faults.aftermath import QUICK, check_aftermath, check_answers
from tests.faults.small_disk import MIB, kafka_on_small_disk, small_disk
from tests.integration.stream import send_stream, under_load, untidy_stream
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.worker import Worker


pytestmark = pytest.mark.faults

DAY_MS = 24 * 3_600_000


@pytest.mark.slow
def test_a_data_directory_of_another_program_is_not_taken_for_ours(
    make_cluster: Callable[..., Cluster],
) -> None:
    """The second program's changelog is longer than the first's: only the offsets look alike."""
    other, cluster = make_cluster(**QUICK), make_cluster(**QUICK)
    for each, size in ((other, 3000), (cluster, 9000)):
        each.create_topic(each.events)
        worker = each.worker().start()
        send_stream(each, untidy_stream(size, seed=size))
        each.wait_until_applied()
        assert worker.terminate() == 0
    (first,), (second,) = other.workers, cluster.workers
    shutil.rmtree(second.data_dir)
    shutil.copytree(first.data_dir, second.data_dir)
    second.launch()
    assert second.wait_exit() == 1
    assert "the disk is a copy of" in one_error(second)
    shutil.rmtree(second.data_dir)
    second.start()
    check_aftermath(cluster, second)


def test_a_lost_data_directory_is_built_anew(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    stream = untidy_stream(12_000, seed=11)
    send_stream(cluster, stream[:9000])
    cluster.wait_until_applied()
    worker.kill()
    shutil.rmtree(worker.data_dir)
    with under_load(cluster, stream[9000:], rate=1500):
        worker.launch()
    check_aftermath(cluster, worker)


@pytest.mark.slow
def test_an_old_copy_of_a_disk_catches_up(cluster: Cluster) -> None:
    """As from a backup, or from a volume that was attached to the wrong machine for a while.

    ::

        stream       |------------|------------|------------|
        partitions   on a's disk  | on b's     | on c's
        a's disk                copy                        copy put back
    """
    stream = untidy_stream(9000, seed=42)
    first, second, third = cluster.worker("a"), cluster.worker("b"), cluster.worker("c")
    copy = cluster.folder / "copy"
    for number, worker in enumerate((first, second, third)):
        worker.start()
        send_stream(cluster, stream[number::3])
        cluster.wait_until_applied()
        assert worker.terminate() == 0
        if worker is first:
            shutil.copytree(first.data_dir, copy)
    shutil.rmtree(first.data_dir)
    copy.rename(first.data_dir)
    check_aftermath(cluster, first.start())


@pytest.mark.slow
@pytest.mark.parametrize("deletions_are_kept", [True, False], ids=["in time", "too late"])
def test_a_disk_from_before_the_changelog_was_compacted_catches_up(
    make_cluster: Callable[..., Cluster], deletions_are_kept: bool
) -> None:
    """Too late: the changelog has dropped its deletions, so the disk cannot learn of them."""
    with EmbeddedKafka(properties={"log.cleaner.backoff.ms": "200"}) as kafka:
        cluster = make_cluster(bootstrap=kafka.bootstrap, **QUICK)
        cluster.create_topic(cluster.events)
        for topic in (cluster.user_changelog, cluster.video_changelog):
            cluster.create_topic(
                topic,
                cleanup_policy="compact",
                segment_ms="1000",
                min_cleanable_dirty_ratio="0.01",
                delete_retention_ms=str(DAY_MS if deletions_are_kept else 1),
            )
        stream = untidy_stream(20_000, seed=43)
        first, second = cluster.worker("a").start(), cluster.worker("b")
        send_stream(cluster, stream[:8000])
        cluster.wait_until_applied()
        assert first.terminate() == 0
        second.start()
        before = places(cluster)
        with under_load(cluster, stream[8000:], rate=1000):
            pass
        cluster.wait_until_applied()
        wait_until(
            lambda: 2 * len(before & places(cluster)) < len(before) and is_compacted(cluster),
            "the changelog is compacted, and most of what the first disk was made of is gone",
        )
        second.kill()
        first.start()
        check_answers(cluster, first)
        # The disk equals the changelog as it is now, whatever it was before.
        shutil.rmtree(second.data_dir)
        check_aftermath(cluster, first, deletions_are_kept=deletions_are_kept)


def places(cluster: Cluster) -> set[tuple[int, int]]:
    """Return the partitions and offsets of the records in the users' changelog."""
    return {(record.partition, record.offset) for record in cluster.read(cluster.user_changelog)}


def is_compacted(cluster: Cluster) -> bool:
    """Return whether the changelog lacks far more offsets than transaction markers take."""
    records = cluster.read(cluster.user_changelog)
    ends = {record.partition: record.offset for record in records}
    return sum(ends.values()) > 2 * len(records)


def damage(worker: Worker, files: str, how: str) -> int:
    """Damage all files of a kind, and return their number."""
    found = list(worker.data_dir.glob(f"**/*.db/{files}"))
    for path in found:
        content = bytearray(path.read_bytes())
        if how == "truncated":
            del content[len(content) // 2 :]
        else:
            # In each block of 4 KiB, so that any read meets damage.
            for at in range(100, len(content), 1000):
                content[at] ^= 0xFF
        path.write_bytes(content)
    return len(found)


@pytest.mark.parametrize(
    ("files", "how"),
    [
        pytest.param("*.sst", "truncated", marks=pytest.mark.slow),
        ("*.sst", "flipped"),
        pytest.param("MANIFEST-*", "flipped", marks=pytest.mark.slow),
        pytest.param("CURRENT", "truncated", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_database_is_set_aside_and_built_anew(
    cluster: Cluster, files: str, how: str
) -> None:
    """The damage is found when the database is opened, or when it is read."""
    worker = cluster.worker().start()
    stream = untidy_stream(6000, seed=12)
    send_stream(cluster, stream[:3000])
    cluster.wait_until_applied()
    assert worker.terminate() == 0
    assert damage(worker, files, how)
    worker.launch()
    send_stream(cluster, stream[3000:])
    check_answers(cluster, worker)
    assert "set aside" in worker.output()
    assert list(worker.data_dir.glob("**/*.db.damaged"))
    check_aftermath(cluster, worker)


def test_a_database_damaged_under_a_running_worker_is_never_served(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    stream = untidy_stream(12_000, seed=44)
    send_stream(cluster, stream[:6000])
    cluster.wait_until_applied()
    # Only data read on open certainly comes from files rather than memory.
    assert worker.terminate() == 0
    worker.start()
    assert damage(worker, "*.sst", "flipped")
    with under_load(cluster, stream[6000:], rate=1500):
        answers = worker.get_all([f"/users/{user}" for user in range(500)])
    assert {status for status, _ in answers} <= {200, 404, 503}
    check_aftermath(cluster, worker)


@pytest.mark.slow
def test_a_worker_whose_disk_is_full_ends_and_goes_on_once_there_is_space(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = make_cluster(**QUICK, REELS_WRITE_BUFFERS="1MiB")
    cluster.create_topic(cluster.events)
    worker = cluster.worker()
    with small_disk(worker.data_dir, 256 * MIB) as disk:
        worker.start()
        with under_load(cluster, untidy_stream(30_000, seed=45), rate=2500):
            wait_until(lambda: any(cluster.committed(cluster.events).values()), "the first commit")
            disk.fill()
            assert worker.wait_exit() == 1
        assert "No space left on device" in one_error(worker)
        worker.launch()
        assert worker.wait_exit() == 1, "there still is none"
        assert "No space left on device" in one_error(worker)
        assert "free some space, or choose another with --datadir" in one_error(worker)
        disk.free()
        worker.start()
        check_aftermath(cluster, worker)


def one_error(worker: Worker) -> str:
    """Return the only line that says why a worker has ended."""
    (line,) = [line for line in worker.output().splitlines() if "[CRITICAL]" in line]
    return line


@pytest.mark.slow
def test_a_broker_whose_disk_was_full_goes_on_once_there_is_space(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    """Kafka stops when it cannot write; workers wait for it."""
    with kafka_on_small_disk(tmp_path / "kafka") as (kafka, disk):
        cluster = make_cluster(bootstrap=kafka.bootstrap, **QUICK)
        cluster.create_topic(cluster.events)
        worker = cluster.worker().start()
        with under_load(cluster, untidy_stream(40_000, seed=46), rate=2000):
            wait_until(lambda: any(cluster.committed(cluster.events).values()), "a commit")
            disk.fill()
            assert kafka.wait(120), "Kafka ends"
            assert worker.status("/healthz") == 200
            time.sleep(3)
            disk.free()
            kafka.restart()
        check_aftermath(cluster, worker)
