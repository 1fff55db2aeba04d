"""Quotients of counters, for one key or for columns of many keys."""

import math
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=float | None)

#: Columns of whole numbers by counter name: 64 bits, or objects if a number needs more.
Counters = Mapping[str, npt.NDArray[Any]]

#: Whole numbers below this are exact as floats.
_EXACT: Final = 2**53


class Quotient(Generic[T]):
    """A sum of counters, divided by another counter and a unit."""

    def __init__(
        self, *over: str, under: str = "", unit: int = 1, most: float = math.inf, without: T
    ) -> None:
        """Divide the sum of ``over`` by ``under`` times ``unit``.

        Arguments:
            over: names of counters.
            under: name of a counter; empty: divide by ``unit`` alone.
            unit: a whole number.
            most: upper limit of the quotient.
            without: the quotient if ``under`` is 0.
        """
        self._over = over
        self._under = under
        self._unit = unit
        self._most = most
        self._without = without

    def of(self, counts: object) -> float | T:
        """Return the quotient of one key; ``counts`` has the counters as attributes."""
        over = sum([getattr(counts, name) for name in self._over])
        return self._divide(over, getattr(counts, self._under) if self._under else 1)

    def _divide(self, over: int, under: int) -> float | T:
        return min(over / (under * self._unit), self._most) if under else self._without

    def column(self, counters: Counters) -> npt.NDArray[np.float64]:
        """Return the quotients of many keys; NaN is None."""
        parts = [counters[name] for name in self._over]
        largest = _EXACT // len(parts)
        if any(part.max(initial=0) >= largest for part in parts):
            return self._exactly(counters)
        over = sum(parts[1:], parts[0]).astype(np.float64)
        if not self._under:
            return over / self._unit
        under = counters[self._under].astype(np.float64)
        if self._unit > 1:
            under *= self._unit
        if under.max(initial=0) >= _EXACT:
            return self._exactly(counters)
        found = np.full(len(over), math.nan if self._without is None else self._without)
        np.divide(over, under, out=found, where=under != 0)
        return np.minimum(found, self._most) if self._most < math.inf else found

    def _exactly(self, counters: Counters) -> npt.NDArray[np.float64]:
        """Compute the quotients one by one: Python divides large integers with one rounding."""
        names = (*self._over, *([self._under] if self._under else []))
        columns = [counters[name].tolist() for name in names]
        count = len(self._over)
        numbers = [
            self._divide(sum(each[:count]), each[count] if self._under else 1)
            for each in zip(*columns, strict=True)
        ]
        return np.array(numbers, np.float64)
