"""The viral rule: many shares and comments per view.

accelerator.deltas has the part of the rule that integers decide, compiled.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

#: Whole numbers.
Column = npt.NDArray[Any]


class Counts(Protocol):
    """Anything that counts views, comments and shares."""

    @property
    def views(self) -> int:
        """Number of views."""

    @property
    def comments(self) -> int:
        """Number of comments."""

    @property
    def shares(self) -> int:
        """Number of shares."""


#: The counters that are divided by the views.
REACTIONS: Final = ("comments", "shares")


@dataclass(frozen=True, slots=True)
class ViralRule:
    """A video is viral with ``min_views`` views or more, and above ``coefficient`` per view."""

    coefficient: float
    min_views: int
    _numerator: int = field(init=False, repr=False, compare=False)
    _denominator: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Validate the rule, and convert the coefficient to an exact decimal fraction.

        As a float, 1.1 is more than 11 / 10. Integers do not round.
        """
        if not (math.isfinite(self.coefficient) and self.coefficient >= 0):
            raise ValueError(f"the coefficient must be 0 or more, not {self.coefficient}")
        if self.min_views < 0:
            raise ValueError(f"the views must be 0 or more, not {self.min_views}")
        exact = Fraction(str(self.coefficient))
        object.__setattr__(self, "_numerator", exact.numerator)
        object.__setattr__(self, "_denominator", exact.denominator)

    def may_be_viral(self, views: int) -> bool:
        """Whether a video with that many views, or more, may be viral."""
        return views >= self.min_views

    def prefilter(self) -> tuple[int, float]:
        """(views, coefficient): a video with fewer views or a lower coefficient is not viral.

        For accelerator.deltas. The coefficient is slightly lowered, by more than floats may be off.
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
        """Return :meth:`is_viral` for many videos."""
        # Exact for integers of any size, as is_viral: a loop over the few with enough views.
        found = np.zeros(len(views), np.bool_)
        for number in np.flatnonzero(views >= max(self.min_views, 1)).tolist():
            reactions = int(comments[number]) + int(shares[number])
            found[number] = reactions * self._denominator > self._numerator * int(views[number])
        return found
