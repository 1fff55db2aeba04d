"""Figures of several runs, and percentiles of many samples."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PERCENTILES = (50, 95, 99)


def percentile(samples: Iterable[float], percent: float) -> float:
    """Return the nearest-rank percentile: ``percent`` percent of samples are not above it.

    Raises ValueError without samples.
    """
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("there are no samples to take a percentile of")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def percentiles(samples: Sequence[float], name: str) -> dict[str, float]:
    """Return p50, p95, p99, maximum and number of samples, by names such as ``name p50``."""
    if not samples:
        return {f"{name} samples": 0}
    return {
        **{f"{name} p{percent}": percentile(samples, percent) for percent in PERCENTILES},
        f"{name} max": max(samples),
        f"{name} samples": len(samples),
    }


@dataclass
class Row:
    """Measurements of one situation: one number per figure and run."""

    setting: dict[str, str | int | float]
    """The situation's properties, by name."""
    runs: dict[str, list[float]] = field(default_factory=dict)
    """One number per run, by the figure's name, which ends in its unit."""

    def add(self, figures: dict[str, float]) -> None:
        """Add the figures of one more run."""
        for name, number in figures.items():
            self.runs.setdefault(name, []).append(number)

    def median(self, name: str) -> float:
        """Return a figure's median over the runs."""
        return median(self.runs[name])

    def as_json(self) -> dict[str, Any]:
        """Return the setting, and the median, range and all runs of each figure."""
        figures = {
            name: {"median": median(runs), "min": min(runs), "max": max(runs), "runs": runs}
            for name, runs in self.runs.items()
        }
        return {"setting": self.setting, "figures": figures}
