"""Results as tables for people, and as JSON for docs and comparisons."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.rig.figures import Row

_MANY = 1000
_SOME = 10


def format_number(number: float) -> str:
    """Format a number with about three digits: ``71,513``, ``11.4``, ``0.62``."""
    if abs(number) >= _MANY:
        return f"{number:,.0f}"
    if number == int(number):
        return str(int(number))
    return f"{number:.1f}" if abs(number) >= _SOME else f"{number:.2f}"


def format_runs(runs: list[float]) -> str:
    """Format the median, and the range if the runs differ."""
    ordered = sorted(runs)
    middle = format_number(_median(ordered))
    low, high = format_number(ordered[0]), format_number(ordered[-1])
    return middle if low == high else f"{middle} ({low} to {high})"


def _median(ordered: list[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def columns_of(rows: list[Row]) -> tuple[list[str], list[str]]:
    """Return the names of settings and figures, in order of appearance."""
    settings = list(dict.fromkeys(name for row in rows for name in row.setting))
    figures = list(dict.fromkeys(name for row in rows for name in row.runs))
    return settings, figures


def cells_of(rows: list[Row]) -> list[list[str]]:
    """Return each row's texts, in the columns of :func:`columns_of`."""
    settings, figures = columns_of(rows)
    return [
        [
            *(_shown(row.setting.get(name, "")) for name in settings),
            *(format_runs(row.runs[name]) if name in row.runs else "" for name in figures),
        ]
        for row in rows
    ]


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else format_number(value)


def table_of(title: str, rows: list[Row]) -> Table:
    """Return a table for the terminal, transposed if there are many figures."""
    settings, figures = columns_of(rows)
    header, cells = [*settings, *figures], cells_of(rows)
    table = Table(title=title, title_justify="left")
    if len(figures) <= _SIDEWAYS:
        for name in header:
            table.add_column(name, justify="left" if name in settings else "right")
        for line in cells:
            table.add_row(*line)
    else:
        table.add_column("")
        for _ in rows:
            table.add_column(justify="right")
        for index, name in enumerate(header):
            is_last_setting = index == len(settings) - 1
            table.add_row(name, *(line[index] for line in cells), end_section=is_last_setting)
    return table


#: Most figures that a table shows as columns; with more it is transposed.
_SIDEWAYS = 6


def markdown_of(rows: list[Row], *, by_figure: bool = False) -> str:
    """Return a table for the docs; ``by_figure``: with a line for each figure."""
    settings, figures = columns_of(rows)
    header = [*settings, *figures]
    lines = [header, *cells_of(rows)]
    if by_figure:
        lines = [list(line) for line in zip(*lines, strict=True)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write ``document`` atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(document, indent=1) + "\n")
    draft.replace(path)
