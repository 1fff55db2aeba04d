"""With ``REELS_LOG_FORMAT=json`` a worker writes JSON from its first line to its last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.worker import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster import Cluster


def test_every_line_of_a_worker_is_a_json_object(make_cluster: Callable[..., Cluster]) -> None:
    worker = make_cluster(REELS_LOG_FORMAT="json").worker().start()
    assert worker.terminate() == 0
    lines = [json.loads(line) for line in worker.output().splitlines()]
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    assert any("partitions ready after" in line["message"] for line in lines)


def test_a_crash_in_compiled_code_leaves_the_stacks_of_all_threads(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    os.kill(worker.pid, signal.SIGSEGV)
    assert worker.wait_exit() == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in worker.output()
    assert worker.output().count("most recent call first") > 1


def test_a_log_file_has_the_same_lines(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = make_cluster(REELS_LOG_FORMAT="json", APP_DATADIR="/proc/nowhere")
    done = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", "worker", "--logfile", str(tmp_path / "log")],
        cwd=ROOT,
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[-1]["message"].startswith("[^Worker]: error: the data directory /proc/nowhere")
