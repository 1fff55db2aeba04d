"""Kafka Streams, one process with two threads, with its own windows."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.installing import JAVA_TOOLS, java_command
from benchmarks.peers.peer import HOPS, Peer

VERSION = "4.3.1"

#: What the manifest pins: ``python -m benchmarks.peers.pin`` writes it.
ROOTS = (
    f"org.apache.kafka:kafka-streams:{VERSION}",
    "com.fasterxml.jackson.core:jackson-databind:2.21.2",
    *JAVA_TOOLS,
)

_SOURCE = Path(__file__).with_name("Counting.java")
MANIFEST = _SOURCE.with_name(f"kafka-streams-{VERSION}.sha256")

_FLAGS = ("-Xmx3g",)


def _views(value: bytes) -> int:
    """Return the first of the row's numbers of 8 bytes."""
    return int.from_bytes(value[:8], "big")


PEERS = tuple(
    Peer(
        kind="streams-panes" if panes else "streams",
        program="Kafka Streams",
        version=VERSION,
        share=1 if panes else 5,
        prepare=lambda tell: java_command(_SOURCE, MANIFEST, _FLAGS, tell),
        users="{app}-users-changelog",
        videos="{app}-videos-changelog",
        views_of=_views,
        panes=panes,
        rows_per_event=1 if panes else HOPS,
    )
    for panes in (False, True)
)
