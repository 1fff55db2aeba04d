"""Lines through measured points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.fits import line_through, on_log_scale, rise

POSITIVE = st.floats(1, 1e6)
POINTS = st.lists(
    st.tuples(POSITIVE, st.floats(0, 1e6)), min_size=1, max_size=6, unique_by=lambda p: p[0]
)


def test_a_line_with_a_fixed_part_is_found() -> None:
    assert line_through([(10, 25), (20, 45), (40, 85)]) == pytest.approx((5, 2))


@pytest.mark.parametrize("points", [[(50, 100)], [(10, 30), (20, 20)], [(10, 1), (20, 100)]])
def test_without_one_the_line_goes_through_the_origin(points: list[tuple[float, float]]) -> None:
    at_zero, per_unit = line_through(points)
    assert at_zero == 0
    assert per_unit > 0


@given(POINTS)
def test_no_line_costs_less_than_nothing(points: list[tuple[float, float]]) -> None:
    at_zero, per_unit = line_through(points)
    assert at_zero >= 0
    assert per_unit >= 0


def test_a_rise_is_from_the_first_point_to_the_last() -> None:
    assert rise([(1, 10), (24, 500), (96, 105)]) == 1
    assert rise([(1, 10), (96, 5)]) == 0
    assert rise([(1, 10)]) == 0


def test_between_points_the_logarithm_counts() -> None:
    points = [(100_000, 1.0), (10_000_000, 3.0)]
    assert on_log_scale(points, 1_000_000) == pytest.approx(2.0)
    assert on_log_scale(points, 1) == 1.0
    assert on_log_scale(points, 1e12) == 3.0


@given(POINTS, POSITIVE, POSITIVE)
def test_more_never_costs_less_however_noisy_the_points(
    points: list[tuple[float, float]], one: float, other: float
) -> None:
    points, (low, high) = sorted(points), sorted((one, other))
    # Interpolated values are exact only to a few digits.
    assert on_log_scale(points, low) <= on_log_scale(points, high) * (1 + 1e-12) + 1e-9
