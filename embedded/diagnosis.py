"""Diagnosis of a node's failure, in one line that says what to do."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from typing import TYPE_CHECKING

from embedded.errors import EmbeddedKafkaError, PortTakenError
from embedded.probe import is_free

if TYPE_CHECKING:
    from pathlib import Path

    from embedded.folder import DataFolder

#: Bytes that must be free before a start. Kafka stops for good if a write fails, so a nearly full
#: disk is refused before the start, with a clear reason.
MIN_FREE_BYTES = 500 << 20

_TAIL_LINES = 20
_TAIL_BYTES = 64 << 10
_LOG_PREFIX = re.compile(r"^\[[^\]]*\] (?:ERROR|FATAL) ")
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_HINTS = (
    (
        re.compile(r"OutOfMemoryError|Could not reserve enough space|maximum heap"),
        "Java lacks memory: free some, or choose another heap size",
    ),
    (
        re.compile(r"Invalid cluster\.id|doesn't match stored|Failed to acquire lock on file"),
        "the data folder belongs to another Kafka: choose another with --data-dir",
    ),
)


def require_space(folder: Path) -> None:
    """Raise EmbeddedKafkaError if the disk of ``folder`` is nearly full."""
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        message = (
            f"only {free >> 20} MB are free on the disk of {folder}, but Kafka needs "
            f"{MIN_FREE_BYTES >> 20}: free some space or choose another folder with --data-dir"
        )
        raise EmbeddedKafkaError(message)


def explain_os_error(error: OSError, folder: DataFolder) -> EmbeddedKafkaError:
    """Turn a failed file operation in ``folder`` into an error with advice."""
    path = tempfile.gettempdir() if folder.temporary else folder.path
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _disk_full(path)
    reason = error.strerror or error
    return EmbeddedKafkaError(
        f"cannot use the data folder {path} ({reason}): choose another with --data-dir"
    )


def explain_failure(
    what: str, folder: DataFolder, ports: tuple[int, ...] = (), log: str = "server"
) -> EmbeddedKafkaError:
    """Return an error that explains ``what`` from the logs called ``log`` in ``folder``.

    ``ports``: the node's ports, the clients' port first. The last lines of the logs are attached
    to the error as notes.
    """
    lines = [line for end in ("log", "out") for line in _tail(folder.logs / f"{log}.{end}")]
    text = "\n".join(lines)
    error: EmbeddedKafkaError
    taken = [port for port in ports if not is_free(port)]
    if taken and "Address already in use" in text:
        error = PortTakenError(taken[0])
    elif _FULL.search(text):
        error = _disk_full(folder.path)
    else:
        hint = next((hint for pattern, hint in _HINTS if pattern.search(text)), None)
        said = [_LOG_PREFIX.sub("", line) for line in lines if _LOG_PREFIX.match(line)]
        reason = hint or (said or lines or ["it wrote no log"])[-1]
        error = EmbeddedKafkaError(f"{what}: {reason}")
    for line in lines[-_TAIL_LINES:]:
        error.add_note(line)
    return error


def _disk_full(folder: Path | str) -> EmbeddedKafkaError:
    return EmbeddedKafkaError(
        f"the disk of {folder} is full: free some space or choose another folder with --data-dir"
    )


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
