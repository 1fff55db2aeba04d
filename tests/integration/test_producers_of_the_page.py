"""The producers in docs/how-to/produce.md run exactly as the page shows them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.documents import blocks
from tests.worker import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster import Cluster
    from tests.worker import Worker


PRODUCERS = [block.text for block in blocks() if block.language == "py"]


@pytest.fixture(scope="module")
def worker(make_shared_cluster: Callable[..., Cluster]) -> Iterator[Worker]:
    cluster = make_shared_cluster()
    worker = cluster.worker().start()
    for shown in PRODUCERS:
        code = shown.replace("127.0.0.1:9092", cluster.bootstrap)
        code = code.replace("engagement-events", cluster.events)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    cluster.wait_until_applied()
    yield worker
    assert worker.terminate() == 0


def test_there_is_one_for_each_client_and_none_takes_more_than_twenty_lines_of_code() -> None:
    assert len(PRODUCERS) == 2
    assert "aiokafka" in PRODUCERS[0]
    assert "murmur2_random" in PRODUCERS[1]
    for code in PRODUCERS:
        # Imports, and closing brackets that the formatter puts on their own lines, do not count.
        lines = [line.strip() for line in code.splitlines()]
        assert sum(1 for line in lines if line.strip("(){}, ") and "import" not in line) <= 20


def test_what_they_send_counts_as_the_page_says(worker: Worker) -> None:
    """Each user has watched a video for 15 s and likes it."""
    for user_id in range(1, 201):
        answer = worker.get(f"/users/{user_id}")
        found = [answer[n] for n in ("total_videos_watched", "total_engagement_minutes", "likes")]
        assert found == [1, 0.25, 1]
    video = worker.get("/videos/7")
    assert (video["rolling"]["views"], video["rolling"]["likes"]) == (200, 200)


def test_none_of_their_events_has_to_be_passed_on(worker: Worker) -> None:
    """Both use Kafka's partitioner."""
    metrics = worker.metrics()
    assert metrics['reels_events_total{outcome="applied"}'] == 400
    assert metrics['reels_events_total{outcome="rekeyed"}'] == 0
