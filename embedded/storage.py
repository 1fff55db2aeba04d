"""The cluster id in Kafka's storage."""

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
    """Return the cluster id of formatted storage; None if it is not formatted."""
    try:
        text = (folder.storage / "meta.properties").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    entries = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return entries.get("cluster.id")


def format_storage(kafka: Distribution, folder: DataFolder, cluster: str | None = None) -> str:
    """Write a cluster id to empty storage, as Kafka requires before its first start; return it.

    ``cluster``: id that the nodes of one cluster share; default: a new one.

    Raises EmbeddedKafkaError if Kafka's own tool fails, OSError if Java does not start.
    """
    cluster = cluster or new_cluster_id()
    program = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(folder.settings)]
    # It runs for a second, so optimizing its code does not pay off.
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
    """Return a random id in Kafka's format: 22 characters, the first of them no dash.

    Kafka's tool reads an id with a leading dash as an option.
    """
    while (text := urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text
