"""Flink SQL, a cluster of two slots within one process.

Its state is on the heap, Flink's default, and in a checkpoint on disk every second. The hopping
windows share hourly slices. Results appear only when windows close.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from benchmarks.peers.installing import JAVA_TOOLS, java_command
from benchmarks.peers.peer import Peer

VERSION = "2.2.1"

#: What the manifest pins: ``python -m benchmarks.peers.pin`` writes it.
ROOTS = (
    f"org.apache.flink:flink-clients:{VERSION}",
    f"org.apache.flink:flink-table-api-java-bridge:{VERSION}",
    f"org.apache.flink:flink-table-planner-loader:{VERSION}",
    f"org.apache.flink:flink-table-runtime:{VERSION}",
    f"org.apache.flink:flink-json:{VERSION}",
    f"org.apache.flink:flink-connector-base:{VERSION}",
    "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2",
    *JAVA_TOOLS,
)

_SOURCE = Path(__file__).with_name("Counting.java")
MANIFEST = _SOURCE.with_name(f"flink-{VERSION}.sha256")

_FLAGS = (
    "-Xmx3g",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            *("java.io", "java.lang", "java.lang.reflect", "java.net", "java.nio", "java.text"),
            *("java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic"),
            *("java.util.concurrent.locks", "sun.nio.ch"),
        )
    ),
)


def _views(value: bytes) -> int:
    """Return the views of a window."""
    return int(orjson.loads(value)["views"])


PEERS = (
    Peer(
        kind="flink",
        program="Flink SQL",
        version=VERSION,
        share=1,
        prepare=lambda tell: java_command(_SOURCE, MANIFEST, _FLAGS, tell),
        users="{app}-users",
        videos="{app}-videos",
        views_of=_views,
        rows_per_event=1,  # one of the 24 windows closes
        closes=True,
    ),
)
