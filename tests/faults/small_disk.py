"""A disk that is small enough to fill."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from embedded import EmbeddedKafka

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20


class SmallDisk:
    """A file system of its own, with a ballast file that can fill its free space."""

    def __init__(self, path: Path) -> None:
        """Describe the file system mounted at ``path``."""
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no free space, even if others write meanwhile."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (MIB, 4096):
                with suppress(OSError):
                    while True:
                        ballast.write(bytes(size))

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink()


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a file system of ``size`` bytes; skip the test if mounting is not allowed."""
    path.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def kafka_on_small_disk(path: Path) -> Iterator[tuple[EmbeddedKafka, SmallDisk]]:
    """Run a Kafka whose data has a file system of its own at ``path``."""
    with small_disk(path, 700 * MIB) as disk, EmbeddedKafka(data_dir=disk.path / "data") as kafka:
        yield kafka, disk
