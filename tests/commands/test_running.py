"""Commands end with one line and a code that says what happened, and clean up after themselves."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import KafkaConnectionError

from commands.running import run_or_exit
from streaming.errors import ConfigurationError, FencedError, NoTokenError, TransactionFailedError
from tests.worker import ROOT

if TYPE_CHECKING:
    from pathlib import Path

WITH_A_FOLDER = """
import asyncio, sys
from tempfile import TemporaryDirectory
from commands.running import run_without_worker

async def main():
    with TemporaryDirectory(dir=sys.argv[1]):
        print("ready", flush=True)
        await asyncio.sleep(60)

run_without_worker(main())
"""


def test_a_terminated_command_deletes_its_temporary_files(tmp_path: Path) -> None:
    """As after `docker stop`, or at the end of `timeout`."""
    command = [sys.executable, "-c", WITH_A_FOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert list(tmp_path.iterdir())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())


def test_ctrl_c_is_told_from_a_result(tmp_path: Path) -> None:
    """An audit's exit code 1 says that the tables differ."""
    code = WITH_A_FOLDER.replace("run_without_worker", "run_or_exit").replace(
        "main())", "main(), 'kafka://b:9092', code=2)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 128 + signal.SIGINT
    assert not list(tmp_path.iterdir())


async def failing(exc: Exception) -> None:
    raise exc


@pytest.mark.parametrize(
    ("exc", "said"),
    [
        (KafkaConnectionError("refused"), "no broker answers at kafka://b:9092 ("),
        (ConnectionResetError(104, "reset"), "no broker answers at kafka://b:9092 ("),
        (NoTokenError("no token from https://issuer"), "no token from https://issuer"),
        (
            PermissionError(13, "Permission denied", "/data"),
            "[Errno 13] Permission denied: '/data'",
        ),
        (ConfigurationError("grant Write"), "grant Write"),
        # Of RocksDB.
        (Exception("IO error: No space left on device: /data"), "IO error: No space left"),
        (FencedError("another"), "another run: "),
        (TransactionFailedError("timed out"), "not accepted: timed out"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_expected_error_is_one_line_with_its_cause(
    exc: Exception, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = {FencedError: "another run", TransactionFailedError: "not accepted"}
    with pytest.raises(SystemExit) as ended:
        run_or_exit(failing(exc), "kafka://b:9092", code=2, texts=texts)
    assert ended.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")


@pytest.mark.parametrize("exc", [BrokenPipeError(32, "Broken pipe"), KeyError("x")])
def test_a_reader_that_has_left_and_a_fault_of_ours_are_not_the_brokers(exc: Exception) -> None:
    with pytest.raises(type(exc)):
        run_or_exit(failing(exc), "kafka://b:9092")
