"""The file ``.env`` of the working folder: settings for all commands, after the environment."""

from __future__ import annotations

import sys
from pathlib import Path

from dotenv import load_dotenv

#: The file's name; docker compose reads it, too.
NAME = ".env"


def read_env_file() -> None:
    """Put the variables of the file into the environment, but for those that are there.

    An empty variable of the environment is there, too: it leaves the program's default in force.
    Exits with one line when the file cannot be read.
    """
    try:
        load_dotenv(Path(NAME), override=False)
    except (OSError, UnicodeDecodeError) as exc:
        sys.exit(f"error: {Path(NAME).absolute()} cannot be read ({exc}): correct or remove it")
