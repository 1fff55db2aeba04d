"""Kafka's settings for one node on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedded.probe import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    # There is one node, so topics that Kafka replicates three times by default exist once.
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # The default of 50 partitions each only adds files to open at every start.
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.num.partitions": "8",
    "share.coordinator.state.topic.num.partitions": "8",
    # A group's first member need not wait for others.
    "group.initial.rebalance.delay.ms": "0",
    # After a kill, the controller refuses the broker until the killed one's session expires: 12 s
    # from kill to ready with the default of 9 s, 5 s with this. A shorter session would also fence
    # a live broker on a busy machine.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # A misspelt topic must be an error, not a new topic.
    "auto.create.topics.enable": "false",
    # Values above the program's own limit of 1 MiB must reach it, to become dead letters.
    "message.max.bytes": str(4 << 20),
    # Retention and compaction skip the newest segment. With the default of 1 GiB they would
    # hardly ever have work.
    "log.segment.bytes": str(128 << 20),
    "log.retention.check.interval.ms": "60000",
    "log.segment.delete.delay.ms": "5000",
    # On a machine of few cores compaction slows other programs, even at the lowest priority (see
    # priorities.py). This limit is several times the rate at which the program writes.
    "log.cleaner.io.max.bytes.per.second": str(48 << 20),
    # The default is 128 MiB, a quarter of the heap.
    "log.cleaner.dedupe.buffer.size": str(32 << 20),
}


def server_properties(
    port: int, controller_port: int, log_dir: Path, extra: Mapping[str, str]
) -> str:
    """Return the text of ``server.properties``; ``extra`` overrides the settings above."""
    broker, controller = f"{HOST}:{port}", f"{HOST}:{controller_port}"
    settings = {
        **_SETTINGS,
        "listeners": f"BROKER://{broker},CONTROLLER://{controller}",
        # Only the broker's: releases before Kafka 3.9 refuse the controller's here.
        "advertised.listeners": f"BROKER://{broker}",
        "controller.quorum.voters": f"1@{controller}",
        "log.dirs": str(log_dir),
        **extra,
    }
    return "".join(f"{name}={_escape(value)}\n" for name, value in settings.items())


def _escape(value: str) -> str:
    """Write a value so that Java's properties format reads it back unchanged."""
    text = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return "".join(c if ord(c) < 128 else f"\\u{ord(c):04x}" for c in text)  # noqa: PLR2004
