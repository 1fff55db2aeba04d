"""The identity of Kafka's storage: which cluster a data folder belongs to."""

from __future__ import annotations

import uuid
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from embedded.diagnosis import explain_failure
from embedded.java import java_process

if TYPE_CHECKING:
    from embedded.distribution import Distribution
    from embedded.folder import DataFolder

_FORMAT_TIMEOUT_S = 120.0


def cluster_id(folder: DataFolder) -> str | None:
    """Return the id that formatted storage carries; None when it is not formatted."""
    try:
        text = (folder.storage / "meta.properties").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    entries = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return entries.get("cluster.id")


def format_storage(kafka: Distribution, folder: DataFolder, cluster: str | None = None) -> str:
    """Give empty storage a cluster's id, as Kafka demands before its first start; return it.

    ``cluster``: the id that nodes of one cluster share; without it, a new one.
    Raises EmbeddedKafkaError when Kafka's own tool refuses, OSError when Java does not start.
    """
    cluster = cluster or new_cluster_id()
    program = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(folder.settings)]
    # It runs for a second: compiling its code well is not worth the while.
    process = java_process(kafka, folder, "format", program, ["-XX:TieredStopAtLevel=1"])
    try:
        process.start()
        process.wait(_FORMAT_TIMEOUT_S)
    finally:
        process.kill()
    if process.exit_code != 0:
        what = "Kafka could not format its storage"
        raise explain_failure(what, folder, log="format")
    return cluster


def new_cluster_id() -> str:
    """Return a random id as Kafka writes its own: 22 characters, the first of them no dash.

    With a dash in front, Kafka's tool takes it for an option.
    """
    while (text := urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text
