"""``make docs``: writes generated pages, the dashboard's columns, and the examples of sizes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from models.counters import ENTITIES
from settings import VARIABLES, load
from topology import all_topics, topology
from views import asyncapi, openapi

PAGE = Path(__file__).with_name("configuration.md")
ROOT = PAGE.parent.parent
COLUMNS = ROOT / "dashboard" / "columns.js"
SIZES = PAGE.with_name("scaling.md")

#: A console block with one command, and the indented block after it: what the command prints.
EXAMPLE = re.compile(r"^```console\n(.+)\n```\n\n((?: {4}.*\n|\n)*)", re.MULTILINE)


HEAD = """\
# Configuration

All settings are environment variables, and all are optional. The program reads them once, checks
them, and prints them at the start with secrets hidden. A wrong value stops the program with one
line that names the variable, the value and what is allowed.

Secrets may be in files instead, as container platforms mount them: `REELS_SASL_PASSWORD_FILE`
names the file with the value of `REELS_SASL_PASSWORD`. The table marks the variables that have such
a form. A trailing newline is not part of the secret. Setting both is refused.

A file `.env` in the working folder sets variables for all commands, one `NAME=value` per line; the
environment overrides it. `docker compose` reads the same file. It is under version control: keep
secrets in separate files. `FAUST_` variables do not belong there: they are read before the file.

Durations are written `100ms`, `90s`, `15m`, `2h`, sizes `64MiB`. Options of the command line
(`--datadir`, `--web-port`, before or after `worker`) override the variables with the same meaning.
In addition, `make demo` reads `DEMO_SECONDS` (how long events flow before it ends) and `DEMO_DIR`
(folder for data and logs; without it they are deleted at the end), and the embedded Kafka reads
`REELS_CACHE_DIR` (folder for its jars; default: `~/.cache/reels-analytics`).

| variable | default | allowed | meaning |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the text of configuration.md."""
    rows = []
    for variable in VARIABLES:
        default = f"`{variable.default}`" if variable.default else "unset"
        meaning = variable.help
        if variable.secret:
            meaning += f" Or in a file: `{variable.file_name}`."
        rows.append(f"| `{variable.name}` | {default} | {variable.kind.allowed} | {meaning} |")
    return HEAD + "\n".join(rows) + "\n"


def topics() -> dict[str, Any]:
    """Return the AsyncAPI description of the topics with default settings."""
    settings = load({})
    tables = topology(settings)
    deltas = [entry.deltas for entry in tables if entry.deltas is not None]
    return asyncapi.describe_topics(settings, all_topics(settings, tables), deltas)


DESCRIPTIONS = {"openapi.json": openapi.describe_routes, "asyncapi.json": topics}


def description(name: str) -> bytes:
    """Return the content of the description file ``name``."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(DESCRIPTIONS[name](), option=options)


def columns() -> str:
    """Return columns.js: label, field and format of each entity's columns."""
    shown = {
        entity.name: [
            [field.label, field.name, field.format.text] for field in entity.answer if field.label
        ]
        for entity in ENTITIES
    }
    text = orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()
    return f"// Written by make docs, from models/counters.py.\n\nexport const COLUMNS = {text};\n"


def sizes() -> str:
    """Return the text of scaling.md, its examples with what the commands print now."""
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)}

    def renewed(example: re.Match[str]) -> str:
        words = shlex.split(example[1])[1:]
        printed = subprocess.run(  # noqa: S603 - a command of the page
            [sys.executable, "-m", "faust", *words],
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        shown = "".join(f"    {line}\n" if line else "\n" for line in printed.splitlines())
        return f"```console\n{example[1]}\n```\n\n{shown}\n"

    return EXAMPLE.sub(renewed, SIZES.read_text())


if __name__ == "__main__":
    PAGE.write_text(page())
    COLUMNS.write_text(columns())
    for name in DESCRIPTIONS:
        PAGE.with_name(name).write_bytes(description(name))
    SIZES.write_text(sizes())
