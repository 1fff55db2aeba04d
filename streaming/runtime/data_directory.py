"""The data directory: a worker's tables on disk, used by one worker at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from typing import TYPE_CHECKING
from uuid import uuid4

from streaming.errors import StartError

if TYPE_CHECKING:
    from io import TextIOWrapper
    from pathlib import Path

#: RocksDB's errors for a full disk or an exhausted quota.
NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")


def lock(folder: Path, shown: Path) -> tuple[TextIOWrapper, str]:
    """Lock other workers out of ``folder`` while the returned file is open.

    Returns:
        The open file, and the directory's id, created at its first use.

    Raises:
        StartError: another worker uses it, or it is not writable; messages call it ``shown``.
    """
    path = folder / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_NOFOLLOW: never write to a file elsewhere through a link.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        file = os.fdopen(os.open(path, flags, 0o666), "a+")
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise StartError(
                f"{path} is a link, and workers do not follow it: delete it, or choose "
                "another data directory with --datadir or APP_DATADIR"
            ) from exc
        raise _unwritable(shown, exc) from exc
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        file.close()
        raise StartError(
            f"the data directory {shown} is in use by another worker: give each "
            "its own, with --datadir or APP_DATADIR"
        ) from exc
    file.seek(0)
    directory_id = file.read()
    if not directory_id:
        directory_id = uuid4().hex
        try:
            file.write(directory_id)
            file.flush()
        except OSError as exc:
            raise _unwritable(shown, exc) from exc
    return file, directory_id


def _unwritable(shown: Path, exc: OSError) -> StartError:
    return StartError(
        f"the data directory {shown} cannot be written to ({exc.strerror}): "
        "choose another with --datadir or APP_DATADIR"
    )
