"""A separate Redis for comparison, if ``redis-server`` is installed."""

from __future__ import annotations

import os
import shutil
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.rig.worker import BenchError
from embedded.probe import free_ports
from embedded.process import BoundProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_TIMEOUT_S = 20.0
_KEYS_PER_COMMAND = 1000


def is_installed() -> bool:
    """Return whether ``redis-server`` is installed."""
    return shutil.which("redis-server") is not None


@contextmanager
def redis(folder: Path, values: Mapping[bytes, bytes]) -> Iterator[tuple[int, int]]:
    """Run Redis, in memory only, with ``values``; yield its port and process id.

    Raises BenchError if it does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = BoundProcess(
        [shutil.which("redis-server") or "redis-server", *options, "--dir", str(folder)],
        output=folder / "redis.log",
        env=dict(os.environ),
    )
    process.start()
    try:
        _fill(port, values)
        yield port, process.pid or 0
    finally:
        process.terminate(_TIMEOUT_S)


def _fill(port: int, values: Mapping[bytes, bytes]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise BenchError("redis-server does not start") from error
            time.sleep(0.05)
    with connection:
        items = list(values.items())
        for first in range(0, len(items), _KEYS_PER_COMMAND):
            some = items[first : first + _KEYS_PER_COMMAND]
            connection.sendall(
                b"".join(
                    b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(k), k, len(v), v)
                    for k, v in some
                )
            )
            expected = len(some) * len(b"+OK\r\n")
            while expected > 0:
                expected -= len(connection.recv(1 << 16))
