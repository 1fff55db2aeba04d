"""Lines through a few measured points."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, pairwise
from math import log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    #: (x, y), in the order of x.
    Points = Sequence[tuple[float, float]]


def line_through(points: Points) -> tuple[float, float]:
    """Return intercept and slope of the least-squares line; neither is negative.

    With a single point, or if the intercept or the slope would be negative, the line goes through
    the origin.
    """
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if spread > 0:
        slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
        at_zero = mean_y - slope * mean_x
        if slope >= 0 and at_zero >= 0:
            return at_zero, slope
    return 0.0, sum(x * y for x, y in points) / sum(x * x for x, _ in points)


def rise(points: Points) -> float:
    """Return how much y rises per unit of x from the first point to the last; 0 if it falls."""
    (first_x, first_y), *_, (last_x, last_y) = [*points, *points[-1:]]
    return max(0.0, (last_y - first_y) / (last_x - first_x)) if last_x > first_x else 0.0


def on_log_scale(points: Points, x: float) -> float:
    """Interpolate y at x between points in the order of x, on a logarithmic scale of x.

    A larger x never costs less, but measurements are noisy: y is at least that of each earlier
    point. Outside of the measured range, y is that of the nearest point.
    """
    xs = [log(max(each, 1.0)) for each, _ in points]
    ys = list(accumulate((y for _, y in points), max))
    place = log(max(x, 1.0))
    right = bisect_right(xs, place)
    if right in {0, len(xs)}:
        return ys[min(right, len(xs) - 1)]
    (x0, x1), (y0, y1) = list(pairwise(xs))[right - 1], list(pairwise(ys))[right - 1]
    return y0 + (y1 - y0) * (place - x0) / (x1 - x0)
