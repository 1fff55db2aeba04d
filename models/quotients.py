"""What is worked out of counters: of one key's, or of the columns of many keys."""

import math
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=float | None)

Counters = Mapping[str, npt.NDArray[Any]]
"""Whole numbers of many keys by the counters' names: of 64 bits, or objects beyond them."""

_EXACT: Final = 2**53
"""Below this whole numbers are floats without being rounded."""


class Quotient(Generic[T]):
    """Counters divided by another one and a unit."""

    def __init__(
        self, *over: str, under: str = "", unit: int = 1, most: float = math.inf, without: T
    ) -> None:
        """Divide the sum of `over` by `under` times `unit`.

        Arguments:
            over: names of counters.
            under: name of a counter; empty: divide by `unit` alone.
            unit: a whole number.
            most: more than this it never is.
            without: what it is when `under` is 0.
        """
        self._over = over
        self._under = under
        self._unit = unit
        self._most = most
        self._without = without

    def of(self, counts: object) -> float | T:
        """The number of one key, whose counts have the counters as attributes."""
        over = sum([getattr(counts, name) for name in self._over])
        return self._divide(over, getattr(counts, self._under) if self._under else 1)

    def _divide(self, over: int, under: int) -> float | T:
        return min(over / (under * self._unit), self._most) if under else self._without

    def column(self, counters: Counters) -> npt.NDArray[np.float64]:
        """The numbers of many keys; NaN stands for None."""
        parts = [counters[name] for name in self._over]
        under = counters[self._under] if self._under else np.ones(len(parts[0]), np.uint64)
        divisors = under.astype(np.float64) * self._unit
        if divisors.max(initial=0) >= _EXACT or any(
            part.max(initial=0) >= _EXACT // len(parts) for part in parts
        ):
            keys = zip(under.tolist(), *(part.tolist() for part in parts), strict=True)
            numbers = [self._divide(sum(each[1:]), each[0]) for each in keys]
            return np.array(numbers, np.float64)
        over = sum(parts[1:], parts[0])
        without = math.nan if self._without is None else self._without
        found = np.full(len(over), without, np.float64)
        np.divide(over.astype(np.float64), divisors, out=found, where=divisors != 0)
        return np.minimum(found, self._most) if self._most < math.inf else found
