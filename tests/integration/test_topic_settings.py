"""Settings of topics are checked before anything is counted; the advice in the message works."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from embedded.distribution import prepare
from tests.integration.test_bad_starts import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster import Cluster


def run_kafkas_own(command: str) -> None:
    """Run a command line of kafka-configs.sh, which starts a Java class of Kafka."""
    script, *arguments = shlex.split(command)
    assert script == "kafka-configs.sh"
    kafka = prepare()
    done = subprocess.run(
        [kafka.java, "-cp", kafka.classpath, "kafka.admin.ConfigCommand", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def made_cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_cluster(TOPIC_PARTITIONS=1)
    assert cluster.command("topics").returncode == 0
    return cluster


def test_a_check_prints_every_setting_and_the_commands_that_it_prints_mend_them(
    made_cluster: Cluster,
) -> None:
    cluster = made_cluster
    done = cluster.command("topics", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(line.endswith(": ok") for line in done.stdout.splitlines()), done.stdout
    for line in (
        f"{cluster.events}: cleanup.policy=delete: ok",
        f"{cluster.user_changelog}: cleanup.policy=compact: ok",
        f"{cluster.viral}: delete.retention.ms=86400000: ok",
        f"{cluster.deltas}: message.timestamp.after.max.ms=9223372036854775807: ok",
    ):
        assert line in done.stdout.splitlines()

    cluster.alter_topic(cluster.video_changelog, cleanup_policy="compact,delete")
    cluster.alter_topic(cluster.events, retention_ms="3600000")
    done = cluster.command("topics", "--check")
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["error: a worker would not start (wrong settings: 1)"]
    lines = done.stdout.splitlines()
    (wrong,) = [line for line in lines if ": wrong: " in line]
    assert wrong.startswith(f"{cluster.video_changelog}: cleanup.policy=compact,delete: wrong: ")
    (unwise,) = [line for line in lines if ": unwise: " in line]
    assert unwise.startswith(f"{cluster.events}: retention.ms=3600000: unwise: ")
    for line in lines:
        if line.startswith("  kafka-configs.sh"):
            run_kafkas_own(line)
    done = cluster.command("topics", "--check")
    assert done.returncode == 0, done.stdout
    assert all(line.endswith(": ok") for line in done.stdout.splitlines())


def test_a_check_makes_no_topic(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(TOPIC_PARTITIONS=1)
    done = cluster.command("topics", "--check")
    assert done.returncode == 0, done.stderr
    assert f"{cluster.events}: missing (a worker creates it)" in done.stdout
    assert cluster.events not in cluster.admin.list_topics(timeout=30).topics


def test_a_worker_refuses_a_changelog_that_retention_deletes_from(made_cluster: Cluster) -> None:
    cluster = made_cluster
    cluster.alter_topic(cluster.user_changelog, cleanup_policy="delete")
    cluster.alter_topic(cluster.deltas, message_timestamp_before_max_ms="1000")
    cluster.alter_topic(cluster.events, retention_ms="3600000")
    worker = cluster.worker().launch()
    assert worker.wait_exit() == 1
    line = refusal(worker)
    assert "(1 more: faust -A app topics --check)" in line
    assert "kafka-configs.sh" in line
    assert f"topic {cluster.events} has retention.ms=3600000: " in worker.output()
