"""What the benchmark suite measured, as its JSON says."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from sizing.errors import SizingError

if TYPE_CHECKING:
    from pathlib import Path


class Figure(msgspec.Struct):
    """A figure of all runs of a row."""

    median: float


class Row(msgspec.Struct):
    """The figures of one situation, by names that end in their unit."""

    setting: dict[str, str | float]
    figures: dict[str, Figure]

    def figure(self, name: str) -> float | None:
        """Return a figure's median; None if it was not measured."""
        found = self.figures.get(name)
        return None if found is None else found.median

    def number(self, name: str) -> float:
        """Return a number of the setting; 0 if it is not in it."""
        found = self.setting.get(name, 0.0)
        return found if isinstance(found, float) else 0.0


class Case(msgspec.Struct):
    """A case of the suite."""

    rows: list[Row]


class Document(msgspec.Struct):
    """What ``python -m benchmarks --output FILE`` writes, as far as sizes depend on it."""

    machine: dict[str, str]
    command: str
    cases: dict[str, Case]

    def rows(self, case: str) -> list[Row]:
        """Return the rows of a case; none if it was not measured."""
        found = self.cases.get(case)
        return [] if found is None else found.rows

    def origin(self) -> str:
        """Return machine, commit and command, in one line."""
        facts = [self.machine.get("processor", ""), f"{self.machine.get('cores', '?')} cores"]
        facts.append(f"commit {self.machine.get('commit', 'unknown')}")
        return f"{', '.join(filter(None, facts))}: {self.command}"


def shipped() -> Document:
    """Return what was measured for the program's own documents."""
    return decode(files("sizing").joinpath("measured.json").read_bytes(), "measured.json")


def read_document(path: Path) -> Document:
    """Return what a reader measured. Raises SizingError, naming the file and what is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SizingError(f"{path} cannot be read: {error.strerror}") from error
    return decode(content, str(path))


def decode(content: bytes, name: str) -> Document:
    """Return what a file of that name has. Raises SizingError as :func:`read_document`."""
    try:
        document = msgspec.json.decode(content, type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SizingError(
            f"{name} is not what `python -m benchmarks --output FILE` writes: {error}"
        ) from error
    for case, found in document.cases.items():
        for row in found.rows:
            for figure, measured in row.figures.items():
                if measured.median < 0:
                    raise SizingError(f"{name}: {case}: {figure!r} is negative: {measured.median}")
    return document
