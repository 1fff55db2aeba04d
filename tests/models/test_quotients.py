"""Quotients of whole columns equal those of each key's counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.counters import CREATOR, USER, VIDEO
from models.viral import ViralRule

if TYPE_CHECKING:
    import numpy.typing as npt

    from models.entity import Entity


# Numbers that floats also round, and whose sums exceed 64 bits.
NUMBERS = st.integers(0, 3) | st.integers(2**53 - 2, 2**53 + 2) | st.integers(2**64 - 2, 2**64 + 2)
SMALL = st.integers(0, 3) | st.integers(0, 2**40)


def columns_of(entity: Entity[Any], rows: list[tuple[int, ...]]) -> dict[str, npt.NDArray[Any]]:
    """Return the counters of some keys as columns."""
    try:
        numbers = np.array(rows, np.uint64)
    except OverflowError:
        numbers = np.array(rows, object)
    return dict(zip(entity.counters, numbers.reshape(len(rows), -1).T, strict=False))


@pytest.mark.parametrize("entity", [USER, VIDEO, CREATOR], ids=lambda entity: entity.name)
@pytest.mark.parametrize("numbers", [SMALL, NUMBERS], ids=["usual", "large"])
def test_a_column_is_what_single_keys_show(
    entity: Entity[Any], numbers: st.SearchStrategy[int]
) -> None:
    row = st.tuples(*[numbers] * len(entity.counters))

    @given(st.lists(row, min_size=1, max_size=5))
    def check(rows: list[tuple[int, ...]]) -> None:
        counters = columns_of(entity, rows)
        for shown in entity.answer:
            column = shown.column(counters).tolist()
            alone = [shown.value(entity.counts(0, 0, *each)) for each in rows]
            assert [None if math.isnan(each) else each for each in column] == alone

    check()


@given(
    st.lists(st.tuples(SMALL, SMALL, SMALL, SMALL, SMALL, SMALL), max_size=8),
    st.sampled_from([0.0, 1.1, 1.5]),
    st.sampled_from([0, 1, 2, 1000]),
)
def test_videos_are_viral_in_columns_as_they_are_alone(
    rows: list[tuple[int, ...]], coefficient: float, min_views: int
) -> None:
    rule = ViralRule(coefficient, min_views)
    found = rule.are_viral(*(np.array([row[n] for row in rows], np.uint64) for n in (0, 2, 3)))
    assert found.tolist() == [rule.is_viral(VIDEO.counts(0, 0, *row)) for row in rows]
