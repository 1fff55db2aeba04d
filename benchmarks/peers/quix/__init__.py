"""Quix Streams, one process, with its own windows.

For an upgrade, renew ``requirements.lock``: ``uv pip compile --universal --generate-hashes
--no-annotate --no-header --python-version 3.11`` of ``quixstreams==VERSION``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from benchmarks.peers.installing import python_command
from benchmarks.peers.peer import HOPS, Peer

VERSION = "3.28.1"

FOLDER = Path(__file__).parent

#: Quix Streams adds these to the names of windows.
_HOUR_MS = 3_600_000
_PANES = f"tumbling_window_{_HOUR_MS}"
_HOPS = f"hopping_window_{24 * _HOUR_MS}_{_HOUR_MS}"


def _views(value: bytes) -> int:
    """Return the views of a window; the changelog has other rows, too."""
    row: Any = orjson.loads(value)
    return int(row["views"]) if isinstance(row, dict) else 0


PEERS = tuple(
    Peer(
        kind="quix-panes" if panes else "quix",
        program="Quix Streams",
        version=VERSION,
        share=20 if panes else 50,
        prepare=lambda tell: python_command(FOLDER / "counting.py", tell),
        users=f"changelog__{{app}}--{{events}}--users_{_PANES if panes else _HOPS}_reduce",
        videos="changelog__{app}--repartition.{events}.by-video--videos_"
        f"tumbling_window_{2 * _HOUR_MS}_reduce",
        views_of=_views,
        panes=panes,
        rows_per_event=1 if panes else HOPS,
    )
    for panes in (False, True)
)
