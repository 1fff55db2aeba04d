"""schemathesis tests the API description: no request makes a worker break it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.worker import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster import Cluster


#: Seconds of fuzzing after the examples and the limits of every parameter.
FUZZING = 15
#: An invalid query may be an omitted one, and unknown ones are ignored: both get an answer.
LEFT_OUT = "negative_data_rejection,positive_data_acceptance"
DATABASE = "none"


def test_a_worker_with_data_keeps_to_its_description(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = make_cluster()
    worker = cluster.worker().start()
    generate = ["generate", "--count", "20000", "--rate", "0", "--users", "50", "--videos", "20"]
    subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", *generate],
        cwd=ROOT,
        env=cluster.environment,
        check=True,
        capture_output=True,
        timeout=60,
    )
    cluster.wait_until_applied()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", worker.url("/openapi.json")),
            *("--exclude-path", "/overview/stream", "--max-time", str(FUZZING)),
            *("--phases", "examples,coverage,fuzzing", "--checks", "all"),
            *("--exclude-checks", LEFT_OUT, "--seed", "1", "--generation-database", DATABASE),
            *("--request-timeout", "10", "--warnings", "off", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert worker.status("/readyz") == 200
    assert "Traceback" not in worker.output()
    assert worker.terminate() == 0
