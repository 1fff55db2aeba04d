"""Tables rebuilt beside the running app, with settings that its tables cannot adopt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.windows import from_iso
from tests.integration.stream import iso, send_stream, untidy_stream
from tests.worker import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.cluster import Cluster
    from tests.worker import Json, Worker


def test_a_rebuild_ends_with_the_same_answers_in_finer_steps_beside_the_running_app(
    make_cluster: Callable[..., Cluster],
) -> None:
    """The running app continues; readers switch to workers started as the command says."""
    cluster = make_cluster(TOPIC_PARTITIONS=2)
    cluster.create_topic(cluster.events)
    running = cluster.worker("running").start()
    send_stream(cluster, untidy_stream(1500, seed=5))
    cluster.wait_until_applied()
    name, folder = f"{cluster.app_id}-finer", cluster.folder / "finer-data"
    finer = {"REELS_USER_STEP": "5m", "REELS_VIDEO_STEP": "1m"}
    same = cluster.command("rebuild", "--to-app-id", cluster.app_id)
    assert same.returncode == 1
    assert same.stderr == "error: --to-app-id must differ from REELS_APP_ID\n"

    words = "--to-app-id", name, "--to-datadir", str(folder)
    done = cluster.command("rebuild", *words, **finer)
    assert done.returncode == 0, done.stderr
    assert "the input is complete" in done.stdout
    viral = f"{cluster.viral}-{name}"
    letters = f"{cluster.dead_letters}-{name}"
    variables = {"APP_ID": name, "VIRAL_TOPIC": viral, "DEAD_LETTER_TOPIC": letters}
    assert " ".join(f"REELS_{each}={text}" for each, text in variables.items()) in done.stdout
    assert running.status("/readyz") == 200

    new = {f"REELS_{each}": text for each, text in variables.items()}
    rebuilt = cluster.worker("rebuilt", **finer, **new).start()
    wait_until(lambda: rebuilt.status("/readyz") == 200, "it has caught up")
    # At the end of a step of both, their windows are equal.
    users = [path for path, (status, _) in known(running, "users") if status == 200]
    latest = max(
        from_iso(answer["as_of"])
        for _, (status, answer) in known(running, "users")
        if status == 200
    )
    at = (latest // 900_000 + 1) * 900_000 - 1
    fields = ("total_videos_watched", "total_engagement_minutes", "likes", "engagement_rate")
    at_once = [f"{path}?at={iso(at)}" for path in users]
    before, after = running.get_all(at_once), rebuilt.get_all(at_once)
    assert len(users) > 100
    assert [[a[f] for f in fields] for _, a in after] == [[a[f] for f in fields] for _, a in before]


def known(worker: Worker, table: str) -> Iterable[tuple[str, tuple[int, Json]]]:
    paths = [f"/{table}/{each}" for each in range(1, 3000)]
    return zip(paths, worker.get_all(paths), strict=True)
