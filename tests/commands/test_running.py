"""Commands that are terminated clean up after themselves."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

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
