"""After a fault: compare everything that the program stores and shows with the oracle."""

from __future__ import annotations

import fcntl
from functools import partial
from typing import TYPE_CHECKING

from tests.integration import checks
from tests.oracle import Rules
from tests.worker import wait_until_equal

if TYPE_CHECKING:
    from tests.cluster import Cluster
    from tests.oracle import Oracle
    from tests.worker import Worker

#: With these settings a few thousand events are enough for viral videos, and the partitions of a
#: dead worker move within seconds.
QUICK = {"REELS_VIRAL_MIN_VIEWS": 20, "BROKER_SESSION_TIMEOUT": 6}


def check_aftermath(
    cluster: Cluster, *workers: Worker, timeout: float = 120.0, deletions_are_kept: bool = True
) -> Oracle:
    """Check that nothing is lost, counted twice or left behind; then stop the ``workers``.

    The oracle reads the input topic up to the committed offsets. All ``workers`` must be alive, and
    must process the input to its end first.
    """
    oracle = check_answers(cluster, *workers, timeout=timeout)
    for worker in workers:
        check_accounting(worker)
    cluster.wait_until_no_transaction_is_open()
    for worker in workers:
        assert worker.terminate() == 0
    checks.check_changelogs(cluster, oracle)
    folders = [worker.data_dir for worker in cluster.workers]
    checks.check_databases(cluster, folders, deletions_are_kept=deletions_are_kept)
    check_no_lock_is_held(cluster)
    return oracle


def check_answers(cluster: Cluster, *workers: Worker, timeout: float = 120.0) -> Oracle:
    """Check that all is applied, and that topics and answers match the oracle; workers go on."""
    cluster.wait_until_applied(timeout)
    oracle = checks.ask_oracle(cluster, rules_of(cluster))
    checks.check_dead_letters(cluster, oracle)
    checks.check_changelogs(cluster, oracle)
    viral = oracle.viral(oracle.latest() or 0)
    wait_until_equal(lambda: checks.viral_topic(cluster), checks.viral_topic_of(viral))
    users, videos = sorted(oracle.of_user), sorted(oracle.of_video)
    for worker in workers:
        worker.wait_ready()
        checks.check_users_over_http(worker, oracle, users)
        checks.check_videos_over_http(worker, oracle, videos)
        expected = checks.viral_rows(viral)
        wait_until_equal(partial(checks.viral_list, worker), expected)
    return oracle


def rules_of(cluster: Cluster) -> Rules:
    """Return the rules that the program's settings define."""
    views = int(cluster.environment.get("REELS_VIRAL_MIN_VIEWS", "1000"))
    return Rules(cluster.partitions, viral_min_views=views)


def check_accounting(worker: Worker) -> None:
    """Check that a worker has one outcome per record read; a restart resets the counters."""
    metrics = worker.metrics().items()
    read = sum(count for name, count in metrics if name.startswith("reels_events_read_total{"))
    outcomes = sum(count for name, count in metrics if name.startswith("reels_events_total{"))
    assert read == outcomes


def check_no_lock_is_held(cluster: Cluster) -> None:
    """Check that every data directory and every database in it is unlocked."""
    for worker in cluster.workers:
        for path in worker.data_dir.glob("**/lock"):
            with path.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for path in worker.data_dir.glob("**/*.db/LOCK"):
            with path.open("w") as lock:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
