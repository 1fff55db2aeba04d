"""The verdict: whether the last part of a soak is like its second part, and the audit's result."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.rig.figures import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commands.shapes import Audit

#: A figure of the last part may be this many times that of the second.
FLAT = 1.15
#: Fraction of the load's rate that has to be processed.
HELD = 0.98

_FIGURES = (
    *("user ms p50", "user ms p99", "workers us/event", "changelog bytes/event"),
    *("worker a MiB", "worker b MiB"),
)
_DISK = ("tables MiB", "changelogs MiB")
#: Compactions let disk space swing by about this fraction.
_SWING = 0.05


class Judgement(NamedTuple):
    """A figure of the second and of the last part, and the most that the last may be."""

    figure: str
    second: float
    last: float
    most: float

    @property
    def is_flat(self) -> bool:
        """Whether the last part is below the limit."""
        return self.last <= self.most

    def row(self) -> Row:
        """Return it as a row of a table."""
        row = Row({"figure": self.figure, "verdict": "flat" if self.is_flat else "GROWS"})
        row.add({"second part": self.second, "last part": self.last, "most": self.most})
        return row


def judge(parts: Sequence[dict[str, float]]) -> list[Judgement]:
    """Compare the figures of the last of ``parts`` with those of the second.

    Disk space may grow, but not faster than in the second part: active users add panes until a
    whole window has passed, and ids until the horizon has.
    """
    second, last = parts[1], parts[-1]
    found = [
        Judgement(name, second[name], last[name], FLAT * second[name])
        for name in _FIGURES
        if name in second and name in last
    ]
    for name in _DISK:
        before = max(0.0, second[name] - parts[0][name])
        most = FLAT * before + _SWING * last[name]
        found.append(Judgement(f"{name} added", before, last[name] - parts[-2][name], most))
    return found


def failures(
    judgements: Sequence[Judgement], audit: Audit, events_per_s: float, rate: int
) -> list[str]:
    """Return a line for each reason why the soak has failed."""
    lines = [
        f"{each.figure} grows: {each.last:,.1f} after {each.second:,.1f}, at most {each.most:,.1f}"
        for each in judgements
        if not each.is_flat
    ]
    if events_per_s < HELD * rate:
        lines.append(f"{events_per_s:,.0f} of {rate:,} events/s were processed")
    if not audit.clean:
        lines.append(f"the audit found {audit.total_differences:,} differences")
    return lines
