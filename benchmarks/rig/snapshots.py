"""States filled once and used many times: folders of Kafka's and a worker's data.

They are kept in the cache folder, under a key of everything that affects their content. Each
measurement works on its own copy. The least recently used states are deleted first.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rig.cluster import Rig
from benchmarks.rig.filling import Filling, write_changelog
from benchmarks.rig.machine import ROOT
from benchmarks.rig.processes import folder_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Most bytes of all kept states; half of it is room for a new state.
KEPT_BYTES = 8 << 30

_RUN = "run-"
#: RocksDB gets one second per this many users to compact restored rows.
_IDLE_USERS_PER_S = 100_000
#: Files that define the format of values, changelogs and databases.
_SOURCES = (
    "tables/*.py",
    "models/user.py",
    "models/dedup.py",
    "models/panes.py",
    "streaming/restore/changelog.py",
    "streaming/kafka/topics.py",
    "benchmarks/rig/filling.py",
    "embedded/kafka-*.sha256",
)


def cache_folder() -> Path:
    """Return the folder of states and working folders, all on one file system."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "reels-analytics" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def work_folder() -> Iterator[Path]:
    """Yield a folder for one measurement, and delete it afterwards."""
    cache = cache_folder()
    for left in cache.glob(f"{_RUN}*"):
        if not Path(f"/proc/{left.name.split('-')[1]}").exists():
            shutil.rmtree(left, ignore_errors=True)  # left by a killed run
    with tempfile.TemporaryDirectory(prefix=f"{_RUN}{os.getpid()}-", dir=cache) as folder:
        yield Path(folder)


def _key(filling: Filling, variables: dict[str, str]) -> str:
    described = hashlib.sha256(repr((asdict(filling), sorted(variables.items()))).encode())
    for pattern in _SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            described.update(path.read_bytes())
    return f"{filling.users}-users-{described.hexdigest()[:16]}"


@contextmanager
def filled_rig(
    filling: Filling,
    variables: dict[str, str],
    progress: Callable[[str, float], None],
    bootstrap: str | None = None,
) -> Iterator[Rig]:
    """Start a rig whose worker ``a`` has the state of ``filling``.

    ``variables``: the program's settings. ``progress`` gets the current step and its done fraction.
    ``bootstrap``: a Kafka that runs already; the state is not kept then.
    """
    if bootstrap is not None:
        with work_folder() as folder, Rig(folder, bootstrap=bootstrap, **variables) as rig:
            _fill(rig, filling, progress)
            yield rig
        return
    kept = cache_folder() / _key(filling, variables)
    if not kept.is_dir():
        _make_room(kept)
        with work_folder() as folder:
            with Rig(folder / "state", **variables) as rig:
                _fill(rig, filling, progress)
            with contextlib.suppress(OSError):  # another run has made it
                (folder / "state").rename(kept)
    os.utime(kept)
    with work_folder() as folder:
        progress("copying the filled state", 0.0)
        copy = ["cp", "-a", "--reflink=auto", f"{kept}/.", str(folder)]
        subprocess.run(copy, check=True)  # noqa: S603 - our own command
        with Rig(folder, **variables) as rig:
            yield rig


def _fill(rig: Rig, filling: Filling, progress: Callable[[str, float], None]) -> None:
    writing = f"writing the changelog of {filling.users:,} users"
    asyncio.run(write_changelog(rig, filling, lambda part: progress(writing, part)))
    progress(f"restoring {filling.users:,} users", 0.0)
    worker = rig.worker()
    worker.wait_ready()
    worker.wait_idle(filling.users / _IDLE_USERS_PER_S)
    worker.stop()


def _make_room(wanted: Path) -> None:
    """Delete the least recently used states until the others are small enough."""
    kept = [path for path in cache_folder().iterdir() if not path.name.startswith(_RUN)]
    kept = [path for path in kept if path.is_dir() and path != wanted]
    kept.sort(key=lambda path: path.stat().st_mtime)
    sizes = {path: folder_bytes(path) for path in kept}
    while kept and sum(sizes[path] for path in kept) > KEPT_BYTES // 2:
        shutil.rmtree(kept.pop(0), ignore_errors=True)
