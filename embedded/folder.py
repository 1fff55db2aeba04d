"""The folder of all files of a node, owned by one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO

from embedded.errors import EmbeddedKafkaError

_PREFIX = "reels-kafka-"
_LOCK = "owner.lock"
#: A temporary folder that was made but not locked yet looks like an abandoned one.
_GRACE_S = 60.0


class DataFolder:
    """A data folder with its lock, held from ``acquire`` to ``release``.

    The lock ends with its process, even if that is killed. Layout: ``kafka`` (Kafka's log.dirs),
    ``logs`` (the node's own logs), ``tmp``, ``server.properties``.
    """

    def __init__(self, path: Path | None) -> None:
        """Use the folder ``path``; None: a temporary one."""
        self.temporary = path is None
        self._path = path
        self._lock: IO[bytes] | None = None

    @property
    def path(self) -> Path:
        """Its path. Raises EmbeddedKafkaError for a temporary folder that does not exist now."""
        if self._path is None:
            msg = "a temporary data folder exists only between start and stop"
            raise EmbeddedKafkaError(msg)
        return self._path

    @property
    def logs(self) -> Path:
        """The folder of the node's own logs."""
        return self.path / "logs"

    @property
    def storage(self) -> Path:
        """The folder of Kafka's records."""
        return self.path / "kafka"

    @property
    def settings(self) -> Path:
        """Kafka's ``server.properties``, rewritten at each start."""
        return self.path / "server.properties"

    def set_logs_aside(self) -> None:
        """Rename the previous start's logs to ``….previous``.

        The logs then contain lines of this start only.
        """
        for log in [*self.logs.glob("*.log"), *self.logs.glob("*.out")]:
            log.replace(log.with_name(f"{log.name}.previous"))

    def acquire(self) -> None:
        """Create the folder and lock it; do nothing if this object holds it already.

        Raises EmbeddedKafkaError if another process holds it, OSError if it cannot be created.
        """
        if self._lock is not None:
            return
        if self._path is None:
            _remove_left_behind()
            self._path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        for each in (self.logs, self._path / "tmp"):
            each.mkdir(parents=True, exist_ok=True)
        lock = _try_lock(self._path / _LOCK)
        if lock is None:
            msg = (
                f"another embedded Kafka uses {self._path}: "
                "stop that one or choose another folder with --data-dir"
            )
            raise EmbeddedKafkaError(msg)
        self._lock = lock

    def release(self) -> None:
        """Unlock the folder, and delete it if it is temporary."""
        if self._lock is not None:
            if self.temporary:
                shutil.rmtree(self.path, ignore_errors=True)
                self._path = None
            # Closing is not enough: a forked child shares the open file, and with it the lock.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._lock.close()
            self._lock = None


def _try_lock(path: Path) -> IO[bytes] | None:
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _remove_left_behind() -> None:
    """Delete the temporary folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # The folder may belong to another user, or another process may be deleting it, too.
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime < _GRACE_S:
                continue
            lock = _try_lock(folder / _LOCK)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                lock.close()
