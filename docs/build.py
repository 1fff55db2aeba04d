"""Writes docs/configuration.md from the settings: ``make docs``."""

from __future__ import annotations

from pathlib import Path

from settings import VARIABLES

PAGE = Path(__file__).with_name("configuration.md")

HEAD = """\
# Configuration

Everything is set by environment variables, all of them optional. They are read once, checked, and
printed at the start with secrets hidden. A wrong value stops the program with one line that names
the variable, the value and what is allowed.

Durations read `100ms`, `90s`, `15m`, `2h`, sizes `64MiB`. What Faust's own command line sets
(`--datadir`, `--web-port`) goes before the variable of the same meaning.

| variable | default | allowed | meaning |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the whole page."""
    rows = []
    for variable in VARIABLES:
        default = f"`{variable.default}`" if variable.default else "unset"
        rows.append(
            f"| `{variable.name}` | {default} | {variable.kind.allowed} | {variable.help} |"
        )
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
