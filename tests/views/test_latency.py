"""Quantiles of counted latencies are as exact as the buckets allow."""

from __future__ import annotations

from bisect import bisect_left
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from views.latency import quantile, sum_of

BOUNDS = [0.01, 0.1, 1.0]


def counted(values: list[float]) -> list[int]:
    counts = [0] * (len(BOUNDS) + 1)
    for value in values:
        counts[bisect_left(BOUNDS, value)] += 1
    return counts


def test_of_nothing_there_is_none() -> None:
    assert quantile(BOUNDS, [0, 0, 0, 0], 0.5) is None
    assert quantile([], [], 0.5) is None


def test_within_a_bucket_values_are_taken_as_spread_evenly() -> None:
    assert quantile(BOUNDS, [10, 0, 0, 0], 0.5) == pytest.approx(0.005)
    assert quantile(BOUNDS, [0, 10, 0, 0], 0.5) == pytest.approx(0.055)
    assert quantile(BOUNDS, [50, 50, 0, 0], 0.99) == pytest.approx(0.01 + 0.09 * 0.98)


def test_above_the_last_bound_it_is_that_bound() -> None:
    assert quantile(BOUNDS, [1, 0, 0, 99], 0.5) == 1.0


@given(st.lists(st.floats(0.0001, 0.9999), min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_it_is_in_the_bucket_of_the_value_that_it_stands_for(
    values: list[float], fraction: float
) -> None:
    found = quantile(BOUNDS, counted(values), fraction)
    exact = sorted(values)[ceil(fraction * len(values)) - 1]
    assert found is not None
    slot = bisect_left(BOUNDS, exact)
    assert (BOUNDS[slot - 1] if slot else 0.0) <= found <= BOUNDS[slot]


@given(st.lists(st.floats(0.0001, 5)), st.lists(st.floats(0.0001, 5)))
def test_sums_are_as_if_counted_together(some: list[float], others: list[float]) -> None:
    assert sum_of(counted(some), counted(others)) == counted([*some, *others])
    assert sum_of([], counted(some)) == counted(some)
