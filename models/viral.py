"""When a video is viral: much shared and talked about for each time that it was seen.

accelerator.deltas has the rule as far as whole numbers decide it, compiled.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]
"""Whole numbers."""


class Counts(Protocol):
    """Whatever counts views, comments and shares."""

    @property
    def views(self) -> int:
        """Number of views."""

    @property
    def comments(self) -> int:
        """Number of comments."""

    @property
    def shares(self) -> int:
        """Number of shares."""


def coefficient_of(counts: Counts) -> float | None:
    """(shares + comments) / views, None without views."""
    views = counts.views
    return (counts.shares + counts.comments) / views if views else None


REACTIONS: Final = ("comments", "shares")
"""The counters that make a coefficient, beside the views."""


@dataclass(frozen=True, slots=True)
class ViralRule:
    """A video is viral with at least `min_views` views and more than `coefficient` for each."""

    coefficient: float
    min_views: int
    _numerator: int = field(init=False, repr=False, compare=False)
    _denominator: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what is no rule, and take the coefficient for the decimal number it was given as.

        As floats, 1.1 is more than 11 / 10; in whole numbers nothing is rounded.
        """
        if not (math.isfinite(self.coefficient) and self.coefficient >= 0):
            raise ValueError(f"the coefficient has to be 0 or more, not {self.coefficient}")
        if self.min_views < 0:
            raise ValueError(f"the views have to be 0 or more, not {self.min_views}")
        exact = Fraction(str(self.coefficient))
        object.__setattr__(self, "_numerator", exact.numerator)
        object.__setattr__(self, "_denominator", exact.denominator)

    def may_be_viral(self, views: int) -> bool:
        """Whether a video with so many views may be viral, whatever else is done; or with more."""
        return views >= self.min_views

    def prefilter(self) -> tuple[int, float]:
        """(views, coefficient): with fewer views, or a lower coefficient, a video is not viral.

        For accelerator.deltas. The coefficient is a bit too low: floats lie closer to the numbers
        that they stand for than that.
        """
        return self.min_views, self.coefficient * (1 - 1e-9)

    def is_viral(self, counts: Counts) -> bool:
        """Whether the counts of one window make a video viral; never without a view."""
        views = counts.views
        return (
            self.may_be_viral(views)
            and views > 0
            and (counts.shares + counts.comments) * self._denominator > self._numerator * views
        )

    def are_viral(self, views: Column, comments: Column, shares: Column) -> npt.NDArray[np.bool_]:
        """The same of many videos."""
        # Whole numbers of any size, as there: a loop over the few that are seen enough.
        found = np.zeros(len(views), np.bool_)
        for number in np.flatnonzero(views >= max(self.min_views, 1)).tolist():
            reactions = int(comments[number]) + int(shares[number])
            found[number] = reactions * self._denominator > self._numerator * int(views[number])
        return found

    @staticmethod
    def coefficient_of(counts: Counts) -> float | None:
        """(shares + comments) / views, None without views."""
        return coefficient_of(counts)
