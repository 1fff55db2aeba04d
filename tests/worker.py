"""A worker in its own process, started, stopped and queried as an operator does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from embedded.process import BoundProcess
from tests.ports import reserve_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 60.0
POLL = 0.1

Json = Any
Value = TypeVar("Value")


class Worker:
    """``faust -A app worker`` as a child process, which never outlives the tests."""

    def __init__(self, folder: Path, name: str, environment: dict[str, str]) -> None:
        """Describe the worker; its tables and its log lie in ``folder``."""
        self.name = name
        self.data_dir = folder / f"{name}-data"
        self.log = folder / f"{name}.log"
        (self.port,) = reserve_ports(1)
        self._environment = environment
        self._process: BoundProcess | None = None
        self._log_start = 0

    def launch(self, program: str = "faust", **settings: str | float) -> Worker:
        """Start the process without waiting; ``program`` is a module with Faust's command line."""
        assert not self.running, f"worker {self.name} runs already"
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._process = BoundProcess(
            [
                *(sys.executable, "-m", program, "-A", "app", "--datadir", str(self.data_dir)),
                *("worker", "-l", "info", "--web-port", str(self.port)),
            ],
            output=self.log,
            env={**self._environment, **{name: str(value) for name, value in settings.items()}},
        )
        self._process.start()
        return self

    def start(self, program: str = "faust", **settings: str | float) -> Worker:
        """Start the process, and wait until it is ready."""
        self.launch(program, **settings)
        self.wait_ready()
        return self

    def wait_ready(self, timeout: float = TIMEOUT) -> None:
        """Wait until ``/readyz`` answers 200."""

        def is_ready() -> bool:
            assert self.running, f"worker {self.name} ended with exit code {self.exit_code}"
            return self.status("/readyz") == 200

        wait_until(is_ready, f"worker {self.name} is ready", timeout)

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.running

    @property
    def exit_code(self) -> int | None:
        """None while the process runs; negative: the signal that ended it."""
        return self._process.exit_code if self._process else None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def wait_exit(self, timeout: float = TIMEOUT) -> int:
        """Wait until the process ends by itself, and return its exit code."""
        assert self._process is not None
        assert self._process.wait(timeout), f"worker {self.name} has not ended in {timeout} s"
        assert self.exit_code is not None
        return self.exit_code

    def terminate(self, timeout: float = 10.0) -> int:
        """Send SIGTERM and return the exit code; a worker that takes longer fails the test."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait_exit(timeout)

    def kill(self) -> None:
        """Kill the process, as a crash would."""
        if self._process is not None:
            self._process.kill()

    def output(self) -> str:
        """Return its output since its last start."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[self._log_start :].decode(errors="replace")

    # -- HTTP

    def url(self, path: str) -> str:
        """Return the address of a route."""
        return f"http://127.0.0.1:{self.port}{path}"

    def status(self, path: str) -> int | None:
        """Return the status of a GET, None if nobody answers."""
        try:
            with urllib.request.urlopen(self.url(path), timeout=5) as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return None

    def text(self, path: str) -> str:
        """Return the body of a GET that must succeed."""
        token = self._environment.get("REELS_HTTP_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.url(path), headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            body: bytes = answer.read()
            return body.decode()

    def get(self, path: str) -> Json:
        """Return the JSON of a GET that must succeed."""
        return json.loads(self.text(path))

    def get_all(self, paths: Sequence[str], at_once: int = 40) -> list[tuple[int, Json]]:
        """Return status and JSON of many GETs, in their order."""

        async def run() -> list[tuple[int, Json]]:
            connector = aiohttp.TCPConnector(limit=at_once)
            async with aiohttp.ClientSession(connector=connector) as session:

                async def one(path: str) -> tuple[int, Json]:
                    async with session.get(self.url(path)) as answer:
                        return answer.status, await answer.json()

                return await asyncio.gather(*map(one, paths))

        return asyncio.run(run())

    def metrics(self) -> dict[str, float]:
        """Return the samples of ``/metrics``, by name with labels."""
        lines = [line for line in self.text("/metrics").splitlines() if not line.startswith("#")]
        return {name: float(number) for name, number in (line.rsplit(" ", 1) for line in lines)}


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by SIGSTOP."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wait_until(is_so: Callable[[], object], what: str, timeout: float = TIMEOUT) -> None:
    """Poll until ``is_so`` returns true."""
    deadline = time.monotonic() + timeout
    while not is_so():
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
        time.sleep(POLL)


def wait_until_equal(read: Callable[[], Value], expected: Value, timeout: float = 20.0) -> None:
    """Poll until ``read`` returns ``expected``; on a timeout, show the difference."""
    deadline = time.monotonic() + timeout
    while (found := read()) != expected and time.monotonic() < deadline:
        time.sleep(POLL)
    assert found == expected
