"""A measured worker: a separate process, started as operators start it."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from benchmarks.rig.machine import ROOT
from benchmarks.rig.processes import Usage
from embedded.process import BoundProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 60.0
#: Seconds between two checks whether a worker is ready.
POLL_S = 0.05

_LOG_LINES = 20


class BenchError(Exception):
    """A case cannot be measured; the text says why."""


class Program:
    """A program as a process that ends with this one."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        """Start ``command``; its output goes to ``log``."""
        self._log = log
        self._process = BoundProcess(command, output=log, env=env)
        self.started = time.monotonic()
        self._process.start()
        self.last = Usage(0.0, 0, 0)

    def usage(self) -> Usage:
        """Return its usage so far. Raises BenchError if it has ended."""
        pid = self._process.pid
        if pid is None or not self._process.running:
            lines = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
            code = self._process.exit_code
            raise BenchError("\n".join([f"{self._log.stem} ended with code {code}:", *lines]))
        self.last = Usage.of(pid)
        return self.last

    def wait(self, timeout_s: float) -> bool:
        """Wait until it ends by itself; return whether it has."""
        return self._process.wait(timeout_s)

    def output(self) -> str:
        """Return its output. Raises BenchError if it has failed."""
        if self._process.exit_code:
            self.usage()
        return self.text()

    def result(self, timeout_s: float) -> dict[str, Any]:
        """Wait until it ends by itself, and return the JSON of its last line.

        Raises BenchError if it fails, or takes longer than ``timeout_s``.
        """
        if not self.wait(timeout_s):
            raise BenchError(f"{self._log.stem} does not end")
        found: dict[str, Any] = json.loads(self.output().splitlines()[-1])
        return found

    def text(self) -> str:
        """Return its output so far, also if it has failed."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """End it with SIGTERM, or with SIGKILL if that takes too long."""
        self._process.terminate(STOP_TIMEOUT_S)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()


class Child(Program):
    """A Python program of this repository."""

    def __init__(
        self, arguments: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path = ROOT
    ) -> None:
        """Start ``python ARGUMENTS``; its output goes to ``log``, modules come from ``cwd``."""
        path = os.pathsep.join((str(cwd), str(ROOT)))
        super().__init__([sys.executable, *arguments], {**env, "PYTHONPATH": path}, log)


class Worker(Child):
    """``faust -A app worker``."""

    def __init__(self, env: Mapping[str, str], data_dir: Path, log: Path, port: int) -> None:
        """Start it, with its tables in ``data_dir`` and its web server at ``port``."""
        self.data_dir = data_dir
        self.port = port
        super().__init__(
            [
                *("-m", "faust", "-A", "app", "--datadir", str(data_dir)),
                *("worker", "-l", "warn", "--web-port", str(self.port)),
            ],
            env,
            log,
        )

    @property
    def url(self) -> str:
        """The address of its web server."""
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self) -> float:
        """Wait until it is ready, and return the seconds since its start."""
        begun = time.monotonic()
        while not self.is_ready():
            self.usage()
            if time.monotonic() - begun > START_TIMEOUT_S:
                raise BenchError(f"a worker is not ready after {START_TIMEOUT_S:.0f} s")
            time.sleep(POLL_S)
        return time.monotonic() - self.started

    def is_ready(self) -> bool:
        """Return whether it is ready now."""
        try:
            self._get("/readyz")
        except OSError:
            return False
        return True

    def partitions(self) -> set[int]:
        """Return the partitions that it owns. Raises OSError if it does not answer."""
        figures: dict[str, Any] = json.loads(self._get("/overview"))
        return set(figures["partitions"]["owned"])

    def metric(self, name: str, label: str = "") -> float:
        """Return the sum of a metric over the labels that contain ``label``; 0 without any.

        Raises OSError if it does not answer.
        """
        total = 0.0
        for line in self._get("/metrics").decode().splitlines():
            text, _, value = line.rpartition(" ")
            found, _, labels = text.partition("{")
            if found == name and label in labels:
                total += float(value)
        return total

    def _get(self, path: str) -> bytes:
        with urlopen(f"{self.url}{path}", timeout=5) as answer:  # noqa: S310 - http
            body: bytes = answer.read()
            return body

    def wait_idle(self, timeout_s: float) -> None:
        """Wait until it is idle, with RocksDB's compaction done, or for ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        calm = 0
        while calm < 2 and time.monotonic() < deadline:  # noqa: PLR2004 - two seconds in a row
            before = self.usage().cpu_s
            time.sleep(max(0.0, min(1.0, deadline - time.monotonic())))
            calm = calm + 1 if self.usage().cpu_s - before < _IDLE_CPU else 0


#: Fraction of a core that an idle worker uses, rounded up.
_IDLE_CPU = 0.12


def wait_shared(workers: Sequence[Worker]) -> None:
    """Wait until each worker has partitions and is ready. Raises BenchError."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not all(worker.is_ready() and worker.partitions() for worker in workers):
        if time.monotonic() > deadline:
            raise BenchError("the workers do not share the partitions")
        time.sleep(POLL_S)
