"""A histogram that observes batches of values."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Values that are sorted into buckets at once. To sort each batch of a few hundred would cost as
#: much as the rest of its bookkeeping.
VALUES_PER_SORT = 4096


class BatchHistogram(Collector):
    """A histogram that observes a batch at once, at about 20 ns per value."""

    def __init__(self, name: str, help_text: str, bounds: Iterable[float]) -> None:
        """``bounds`` are the upper bounds of the buckets, in seconds, ascending."""
        self._name = name
        self._help = help_text
        self._bounds = np.array(tuple(bounds))
        self._sorted = np.zeros(len(self._bounds) + 1, dtype=np.int64)
        self._sum = 0.0
        self._waiting: list[np.ndarray] = []
        self._waits = 0

    def observe(self, seconds: np.ndarray) -> None:
        """Count every value of ``seconds``; a negative one, from a clock set back, counts as 0."""
        self._waiting.append(seconds)
        self._waits += len(seconds)
        if self._waits >= VALUES_PER_SORT:
            self._sort()

    def _sort(self) -> None:
        if self._waiting:
            seconds = np.maximum(np.concatenate(self._waiting), 0.0)
            self._waiting, self._waits = [], 0
            slots = np.searchsorted(self._bounds, seconds)
            self._sorted += np.bincount(slots, minlength=len(self._sorted))
            self._sum += float(seconds.sum())

    @property
    def _counts(self) -> np.ndarray:
        # Waiting values are in no bucket and not in the sum.
        self._sort()
        return self._sorted

    @property
    def bounds(self) -> list[float]:
        """Upper bounds of the buckets."""
        return [float(bound) for bound in self._bounds]

    @property
    def counts(self) -> list[int]:
        """The values per bucket; the last number is of those above all bounds."""
        return [int(count) for count in self._counts]

    def quantile(self, fraction: float) -> float | None:
        """Upper bound of the bucket with the quantile ``fraction``; None without any value."""
        total = self._counts.cumsum()
        if not total[-1]:
            return None
        slot = bisect_left(total.tolist(), fraction * total[-1])
        return float(self._bounds[slot]) if slot < len(self._bounds) else float("inf")

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Yield the histogram's family."""
        family = HistogramMetricFamily(self._name, self._help)
        bounds = [str(bound) for bound in self._bounds] + ["+Inf"]
        counts = self._counts.cumsum().tolist()
        family.add_metric([], list(zip(bounds, counts, strict=True)), self._sum)
        yield family
