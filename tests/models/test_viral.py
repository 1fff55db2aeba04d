"""Promises about when a video is viral."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.counters import VideoCounts
from models.viral import ViralRule
from tests.counted import of_video

if TYPE_CHECKING:
    from decimal import Decimal


RULE = ViralRule(coefficient=1.5, min_views=1000)


def counts(views: int, comments: int = 0, shares: int = 0, likes: int = 0) -> VideoCounts:
    return VideoCounts(0, 7_200_000, *of_video(views, likes, comments, shares))


def test_a_video_is_viral_from_1000_views_on() -> None:
    assert RULE.is_viral(counts(1000, shares=1501))
    assert not RULE.is_viral(counts(999, shares=100_000))


def test_a_video_is_viral_above_one_and_a_half_shares_and_comments_a_view_not_at_it() -> None:
    assert not RULE.is_viral(counts(1000, comments=500, shares=1000))
    assert RULE.is_viral(counts(1000, comments=501, shares=1000))


def test_likes_do_not_make_a_video_viral() -> None:
    assert not RULE.is_viral(counts(1000, likes=10**9))


def test_a_video_without_views_is_never_viral_and_has_no_coefficient() -> None:
    assert not ViralRule(0.0, 0).is_viral(counts(0, shares=5))
    assert counts(0, shares=5).viral_coefficient is None


def test_the_coefficient_counts_comments_and_shares_alike() -> None:
    assert counts(8, comments=4, shares=10).viral_coefficient == 1.75


def test_exactly_the_coefficient_is_not_above_it_where_floats_cannot_tell() -> None:
    for coefficient, views, shares in ((1.1, 1000, 1100), (0.1, 30, 3), (2.3, 10**9, 23 * 10**8)):
        rule = ViralRule(coefficient, 0)
        assert not rule.is_viral(counts(views, shares=shares))
        assert rule.is_viral(counts(views, shares=shares + 1))


@given(
    st.decimals(0, 1000, places=3),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
def test_the_rule_is_that_of_exact_fractions(
    coefficient: Decimal, views: int, comments: int, shares: int
) -> None:
    expected = views > 0 and Fraction(shares + comments, views) > Fraction(coefficient)
    assert ViralRule(float(coefficient), 0).is_viral(counts(views, comments, shares)) == expected


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_a_coefficient_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="coefficient"):
        ViralRule(wrong, 1000)


def test_a_negative_number_of_views_is_refused() -> None:
    with pytest.raises(ValueError, match="views"):
        ViralRule(1.5, -1)
