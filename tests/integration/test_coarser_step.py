"""A coarser step takes effect after all workers stop and start with it; nothing else is needed."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.faults.aftermath import QUICK
from tests.faults.test_rescale import answers, latest, moved
from tests.integration import checks
from tests.integration.stream import send_stream, untidy_stream
from tests.oracle import HOUR, MINUTE, Oracle, Rules, in_order
from tests.worker import wait_until_equal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster
    from tests.worker import Worker


COARSE: dict[str, str | int] = {
    "REELS_USER_STEP": "1h",
    "REELS_VIDEO_STEP": "15m",
    "REELS_VIRAL_MIN_VIEWS": 25,
}
BEFORE = Rules(4, viral_min_views=20)
AFTER = replace(BEFORE, user_step=HOUR, video_step=15 * MINUTE, viral_min_views=25)


def ask_oracle(cluster: Cluster, ends: dict[str, dict[int, int]]) -> Oracle:
    """Use the earlier rules for records before ``ends``, by topic and partition."""
    oracle = Oracle(BEFORE, cluster.events)
    passed_on = cluster.read(cluster.repartition)
    order = cluster.read(cluster.order)
    for record, is_passed_on in in_order(cluster.read(cluster.events), passed_on, order):
        topic = cluster.repartition if is_passed_on else cluster.events
        is_before = record.offset < ends[topic].get(record.partition, 0)
        oracle.rules = BEFORE if is_before else AFTER
        oracle.feed(record, topic)
    oracle.rules = AFTER
    return oracle


def check(worker: Worker, oracle: Oracle) -> None:
    users, videos = sorted(oracle.of_user), sorted(oracle.of_video)
    checks.check_users_over_http(worker, oracle, users)
    checks.check_users_over_http(worker, oracle, users, 2 * HOUR)
    checks.check_videos_over_http(worker, oracle, videos)
    checks.check_creators_over_http(worker, oracle, sorted(oracle.of_creator))
    expected = checks.viral_rows(oracle.viral(oracle.latest() or 0))
    wait_until_equal(lambda: checks.viral_list(worker), expected)


def test_answers_are_right_at_once_and_after_a_restore_and_there_is_no_way_back(
    make_cluster: Callable[..., Cluster],
) -> None:
    """The changelog has rows written with either step, and keys with panes of both."""
    cluster = make_cluster(**QUICK, TOPIC_PARTITIONS=4)
    cluster.create_topic(cluster.events)
    stream = untidy_stream(6000, seed=77)
    worker = cluster.worker().start()
    send_stream(cluster, stream[:5000])
    cluster.wait_until_applied()
    worker.kill()
    ends = {name: cluster.committed(name) for name in (cluster.events, cluster.repartition)}

    cluster.environment |= {name: str(value) for name, value in COARSE.items()}
    worker = cluster.worker().start()
    check(worker, ask_oracle(cluster, ends))
    for line in (
        "table user_metrics: the step changes to 1h from 15m",
        "table video_metrics: the step changes to 15m from 5m",
        "table video_metrics: REELS_VIRAL_MIN_VIEWS changes to 25 from 20",
    ):
        assert worker.output().count(line) == 1

    send_stream(cluster, stream[5000:])
    cluster.wait_until_applied()
    oracle = ask_oracle(cluster, ends)
    check(worker, oracle)
    audit = cluster.command("audit")
    assert audit.returncode == 0, audit.stdout
    check_export(cluster, worker)

    worker.kill()
    shutil.rmtree(worker.data_dir)
    worker = cluster.worker().start()
    check(worker, oracle)
    at = latest(worker, range(1, 300))
    before = answers(worker, range(1, 300), range(1, 60), at)
    assert worker.terminate() == 0

    back = cluster.worker("back", REELS_USER_STEP="15m", REELS_VIDEO_STEP="5m").launch()
    assert back.wait_exit() == 1
    (line,) = [line for line in back.output().splitlines() if "[CRITICAL]" in line]
    assert "has a window of 24h by 1h, but the settings say 24h by 15m" in line
    assert "only a shorter window, and a multiple of the step, are possible" in line

    done = cluster.command("rescale", "--partitions", "6", "--alter-input")
    assert done.returncode == 0, done.stderr
    new = moved(cluster, 6, **COARSE)
    worker = new.worker("new").start()
    assert answers(worker, range(1, 300), range(1, 60), at) == before
    audit = new.command("audit")
    assert audit.returncode == 0, audit.stdout
    new.close()


def check_export(cluster: Cluster, worker: Worker) -> None:
    """Check that an export of a user equals the answers of the single and of the batch route."""
    out = cluster.folder / "export"
    done = cluster.command("export", "users", "--format", "csv", "--out", str(out))
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, str]] = []
    for path in out.glob("*.csv"):
        with path.open(newline="") as lines:
            rows += csv.DictReader(lines)
    rows = rows[:100]
    ids = ",".join(row["user_id"] for row in rows)
    (_, found), *_ = worker.get_all([f"/users?ids={ids}&at={rows[0]['as_of']}"])
    single = worker.get_all([f"/users/{row['user_id']}?at={row['as_of']}" for row in rows])
    for row, of_many, (_, of_one) in zip(rows, found["users"], single, strict=True):
        assert of_many == of_one
        assert int(row["total_videos_watched"]) == of_one["total_videos_watched"]
        assert int(row["likes"]) == of_one["likes"]
        assert row["window_start"] == of_one["window"]["start"]
