"""A spill map equals a dict, in the order of its keys, whatever its memory limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditing.spill_map import SpillMap, id_key, id_of, pane_key, pane_of

if TYPE_CHECKING:
    from pathlib import Path


PUTS = st.lists(
    st.tuples(st.integers(0, 2**63 - 1) | st.integers(0, 20), st.none() | st.binary(max_size=300)),
    max_size=200,
)


@pytest.mark.parametrize("limit", [0, 2000, 10**9])
@settings(max_examples=20, deadline=None)
@given(puts=PUTS)
def test_values_are_those_of_a_dict_in_order(
    tmp_path_factory: pytest.TempPathFactory, limit: int, puts: list[tuple[int, bytes | None]]
) -> None:
    values = SpillMap(tmp_path_factory.mktemp("values") / "db", limit)
    expected: dict[int, bytes] = {}
    for number, value in puts:
        values.put(id_key(number), value)
        if value is None:
            expected.pop(number, None)
        else:
            expected[number] = value
        assert values.get(id_key(number)) == value
    assert [id_of(key) for key in values] == sorted(expected)
    assert {id_of(key): values.get(key) for key in values} == expected
    values.close()
    assert list(values) == []


def test_memory_stays_below_its_bound(tmp_path: Path) -> None:
    values = SpillMap(tmp_path / "db", 10_000)
    for number in range(10_000):
        values.put(id_key(number), b"x" * 100)
        assert sum(len(value or b"") for value in values._memory.values()) < 10_000
    assert values.is_on_disk
    assert sum(1 for _ in values) == 10_000
    values.close()


@given(video=st.integers(0, 2**63 - 1), pane=st.integers(-(2**40), 2**40))
def test_a_panes_key_says_which_it_is(video: int, pane: int) -> None:
    assert (id_of(pane_key(video, pane)), pane_of(pane_key(video, pane))) == (video, pane)
    assert id_key(video) < pane_key(video, pane)


def test_a_map_that_was_kept_is_read_from_its_folder(tmp_path: Path) -> None:
    values = SpillMap(tmp_path / "db", 300)
    for number in (3, 1, 2):
        values.put(id_key(number), b"%d" % number)
    values.put(id_key(2), None)
    kept = SpillMap.kept(values.keep())
    assert [(id_of(key), kept.get(key)) for key in kept] == [(1, b"1"), (3, b"3")]
    kept.close()
