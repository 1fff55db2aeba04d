"""The file ``.env`` in the working directory: settings that the environment does not have."""

from __future__ import annotations

import sys
from pathlib import Path

from dotenv import dotenv_values, load_dotenv

#: The file's name; docker compose reads it as well.
NAME = ".env"


def read_env_file() -> None:
    """Add the variables of the file to the environment, except those that exist.

    A variable that exists and is empty is kept, too: it selects the program's default. Exits with
    one line if the file cannot be read.
    """
    try:
        load_dotenv(Path(NAME), override=False)
    except (OSError, UnicodeDecodeError) as exc:
        sys.exit(f"error: {Path(NAME).absolute()} cannot be read ({exc}): correct or remove it")


def names_in_file() -> list[str]:
    """Return the names of the variables in the file; none without a file."""
    return list(dotenv_values(Path(NAME)))
