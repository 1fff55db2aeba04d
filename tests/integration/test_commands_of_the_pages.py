"""The commands of the pages, run one after another as a reader would run them.

They get their own ports and folders; ``make`` only prints its commands. All tests, and
``test_demo.py``, run what those targets do.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from embedded.process import BoundProcess
from tests.cluster import without_settings
from tests.documents import blocks
from tests.ports import reserve_ports
from tests.worker import ROOT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


#: The first page starts from nothing; the others continue from its state.
PAGES = ("docs/quick-start.md", "docs/recovery.md", "README.md")

#: Pages whose commands need their own tables, and the tests that run those commands.
ELSEWHERE = {
    "docs/clients.md": "tests/views/test_client_page.py",
    "docs/how-to/analyse-an-export.md": "tests/integration/test_export.py",
    "docs/how-to/rescale.md": "tests/faults/test_rescale.py",
    "docs/scaling.md": "tests/commands/test_size.py",
}

#: Seconds until a generator is stopped that the page stops with Ctrl-C.
ENDLESS = 3.0


def catches_sigterm(pid: int) -> bool:
    """Return whether the program handles SIGTERM yet, which Python alone does not."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


class Reader:
    """Runs commands; long-running ones run in parallel, as in another terminal."""

    def __init__(self, folder: Path) -> None:
        self.kafka_port, self.web_port = reserve_ports(2)
        self._folder = folder
        self._beside: dict[str, BoundProcess] = {}
        self.environment = {
            **without_settings(),
            "PYTHONPATH": str(ROOT),
            "BROKER_URL": f"kafka://127.0.0.1:{self.kafka_port}",
            "APP_DATADIR": str(folder / "tables"),
            "WEB_PORT": str(self.web_port),
        }

    def type(self, line: str) -> None:
        words = shlex.split(line, comments=True)
        environment = dict(self.environment)
        while words and "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            environment[name] = value.replace("9092", str(self.kafka_port))
        if not words:
            return
        program, *rest = words
        if program == "make":
            subprocess.run(["make", "-n", *rest], cwd=ROOT, check=True, capture_output=True)
        elif program == "curl":
            self._get(rest[-1].replace("6066", str(self.web_port)))
        else:
            assert program.rpartition("/")[2] == "faust", line
            self._run(rest, environment)

    def _run(self, words: list[str], environment: dict[str, str]) -> None:
        command = words[2]
        if command == "kafka":
            more = ["--port", str(self.kafka_port), "--data-dir", str(self._folder / "kafka")]
            self._go_on(command, [*words, *more], environment)
            wait_until(lambda: "is ready on" in self.said(command), "Kafka is ready")
        elif command == "worker":
            self._go_on(command, words, environment)
            wait_until(lambda: self._status("/readyz") == 200, "the worker is ready")
        else:
            is_endless = command == "generate" and not {"--count", "--duration"} & set(words)
            self._run_to_the_end(words, environment, ENDLESS if is_endless else None)

    def _go_on(self, name: str, words: list[str], environment: dict[str, str]) -> None:
        """Start a program unless another page has started it."""
        if name not in self._beside:
            command = [sys.executable, "-m", "faust", *words]
            log = self._folder / f"{name}.log"
            self._beside[name] = BoundProcess(command, output=log, env=environment)
            self._beside[name].start()
        assert self._beside[name].running, self.said(name)

    def said(self, name: str) -> str:
        """Return the output of a long-running command."""
        log = self._folder / f"{name}.log"
        return log.read_text() if log.exists() else ""

    def _run_to_the_end(
        self, words: list[str], environment: dict[str, str], seconds: float | None
    ) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "faust", *words],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if seconds is not None:
            wait_until(lambda: catches_sigterm(process.pid), "the generator runs")
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, f"{shlex.join(words)}: {output}"

    def _status(self, path: str) -> int | None:
        try:
            with urlopen(f"http://127.0.0.1:{self.web_port}{path}", timeout=5) as answer:
                status: int = answer.status
                return status
        except HTTPError as error:
            with error:
                return error.code
        except OSError:
            return None

    def _get(self, url: str) -> None:
        path = url.partition(str(self.web_port))[2]
        # An event that was just sent counts after a moment.
        wait_until(lambda: self._status(path) == 200, f"{path} is answered")
        with urlopen(url, timeout=5) as answer:
            assert json.load(answer)

    def stop(self) -> dict[str, int | None]:
        """Stop the long-running commands, the last one first, and return their exit codes."""
        for process in reversed(self._beside.values()):
            process.terminate(15)
        return {name: process.exit_code for name, process in self._beside.items()}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = Reader(tmp_path_factory.mktemp("reader"))
    yield reader
    assert reader.stop() == {"kafka": 0, "worker": 0}
    assert "Traceback" not in reader.said("worker")


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_they_are_for(reader: Reader, page: str) -> None:
    lines = [
        line
        for block in blocks()
        if (block.page, block.language) == (page, "console")
        for line in block.text.splitlines()
    ]
    assert lines
    for line in lines:
        reader.type(line)


def test_these_are_all_the_pages_that_have_commands() -> None:
    pages = {block.page for block in blocks() if block.language == "console"}
    assert pages == {*PAGES, *ELSEWHERE}
    assert all((ROOT / test).exists() for test in ELSEWHERE.values())
