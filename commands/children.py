"""Child processes that run this program's command line, with this process's settings."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from embedded.process import BoundProcess
from setting_file import names_in_file

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Characters of a last line that are shown.
SHOWN = 400


def own_command(app: str, words: Sequence[str], output: Path, **variables: str) -> BoundProcess:
    """Prepare ``faust -A app …`` in this folder, so that relative paths keep their meaning.

    Arguments:
        app: the argument of ``-A``.
        words: the arguments after it.
        output: the file for what it prints.
        variables: settings that differ from this process's.
    """
    environment = {
        # A variable that was taken out of the environment is not read from the file again.
        **dict.fromkeys(names_in_file(), ""),
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        **variables,
    }
    command = [sys.executable, "-m", "faust", "-A", app, *words]
    return BoundProcess(command, output=output, env=environment, folder=Path.cwd())


def last_words(log: Path, exit_code: int | None) -> str:
    """Return how a child has ended, and the last line that it printed."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    if exit_code is not None and exit_code < 0:
        how = f"was ended by {signal.Signals(-exit_code).name}"
    else:
        how = f"has ended with exit code {exit_code}"
    return f"{how}: {lines[-1].removeprefix('error: ')[-SHOWN:]}" if lines else how
