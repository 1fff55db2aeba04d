"""Promises about packed panes, compared with plain dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from models.panes import PaneRows

if TYPE_CHECKING:
    from random import Random

    Addition = tuple[int, int, int, int]


ROWS = PaneRows("IIQ")
SMALL = PaneRows("BH")
U32, U64 = 2**32 - 1, 2**64 - 1

ADDITIONS = st.lists(
    st.tuples(
        st.integers(0, 12) | st.integers(0, U32),
        st.integers(0, 5) | st.integers(0, U32),
        st.integers(0, 5),
        st.integers(0, 2**53),
    ),
    max_size=40,
)
PLACES = st.integers(0, 14) | st.integers(0, U32 + 1)


def packed(additions: list[Addition]) -> bytes:
    rows = b""
    for pane, *increments in additions:
        rows = ROWS.add(rows, pane, *increments)
    return rows


def plain(additions: list[Addition]) -> dict[int, tuple[int, int, int]]:
    panes: dict[int, tuple[int, int, int]] = {}
    for pane, views, likes, watched in additions:
        before = panes.get(pane, (0, 0, 0))
        panes[pane] = (
            min(before[0] + views, U32),
            min(before[1] + likes, U32),
            min(before[2] + watched, U64),
        )
    return panes


@given(ADDITIONS)
def test_adding_in_any_order_keeps_one_row_a_pane_sorted_by_pane(additions: list[Addition]) -> None:
    expected = [(pane, *counters) for pane, counters in sorted(plain(additions).items())]
    assert list(ROWS.items(packed(additions))) == expected


@given(ADDITIONS, st.randoms())
def test_the_order_of_adding_makes_no_difference(additions: list[Addition], random: Random) -> None:
    shuffled = list(additions)
    random.shuffle(shuffled)
    assert packed(shuffled) == packed(additions)


@given(ADDITIONS, PLACES, PLACES)
def test_totals_are_the_sums_over_the_panes_asked_for(
    additions: list[Addition], first: int, end: int
) -> None:
    inside = [counters for pane, counters in plain(additions).items() if first <= pane < end]
    expected = tuple(sum(counters[i] for counters in inside) for i in range(3))
    assert ROWS.total(packed(additions), first, end) == expected


def test_totals_of_very_many_panes_are_sums_as_well() -> None:
    rows = b"".join(ROWS.pack(pane, 1, 2, 3) for pane in range(1000))
    for first, end in ((0, 1000), (10, 400), (100, 228), (100, 229), (999, 2000)):
        panes = min(end, 1000) - first
        assert ROWS.total(rows, first, end) == (panes, 2 * panes, 3 * panes)


@given(ADDITIONS, PLACES)
def test_dropping_keeps_just_the_panes_from_there_on(additions: list[Addition], first: int) -> None:
    kept = {pane: counters for pane, counters in plain(additions).items() if pane >= first}
    rows = ROWS.drop_before(packed(additions), first)
    assert {pane: tuple(counters) for pane, *counters in ROWS.items(rows)} == kept


@given(ADDITIONS)
def test_the_newest_pane_is_known_and_of_none_it_is_minus_one(additions: list[Addition]) -> None:
    assert ROWS.newest(packed(additions)) == max((row[0] for row in additions), default=-1)


def test_a_counter_stops_at_its_maximum_and_the_others_go_on() -> None:
    rows = SMALL.add(b"", 7, 200, 1)
    rows = SMALL.add(rows, 7, 100, 1)
    assert list(SMALL.items(rows)) == [(7, 255, 2)]
    assert list(SMALL.items(SMALL.add(rows, 7, 1, 1))) == [(7, 255, 3)]
    assert list(SMALL.items(SMALL.add(rows, 3, 1000, 70_000))) == [(3, 255, 65_535), (7, 255, 2)]


def test_rows_are_little_endian_and_unpadded() -> None:
    assert ROWS.add(b"", 1, 2, 3, 4) == bytes.fromhex("01000000 02000000 03000000 0400000000000000")
