"""Quantiles of latencies counted in buckets."""

from __future__ import annotations

from itertools import accumulate, zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def quantile(bounds: Sequence[float], counts: Sequence[int], fraction: float) -> float | None:
    """Return the quantile ``fraction`` of the counted values; None without values.

    Values are assumed to be evenly spread within a bucket, as in Prometheus'
    ``histogram_quantile``. Above the last bound, the result is that bound.

    Arguments:
        bounds: upper bounds of the buckets, ascending.
        counts: values per bucket; the last number is of those above all bounds.
        fraction: 0.5 for the median.
    """
    total = sum(counts)
    if total <= 0:
        return None
    rank = fraction * total
    for slot, up_to in enumerate(accumulate(counts)):
        if up_to >= rank and counts[slot]:
            if slot == len(bounds):
                break
            lower = bounds[slot - 1] if slot else 0.0
            inside = (rank - (up_to - counts[slot])) / counts[slot]
            return lower + (bounds[slot] - lower) * inside
    return bounds[-1]


def sum_of(counts: Sequence[int], others: Sequence[int]) -> list[int]:
    """Add up the counts of the same buckets."""
    return [a + b for a, b in zip_longest(counts, others, fillvalue=0)]
