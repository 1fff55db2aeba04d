"""The audit counts a partition's events in the worker's order, as far as that is known.

::

    input        0   1   2 | 3   4 | 5
    passed on              0 1     2
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pytest

from auditing.merging import Arrival, Copies, Merge
from auditing.spill_map import SpillMap
from models.errors import CodecError
from models.merge_order import MergeOrder, unpack_order
from tests.streaming.fakes import record

if TYPE_CHECKING:
    from pathlib import Path


ORDER = [b"[[3, 2]]", b"[[5, 3]]"]


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    """Three passed-on events."""
    copies = Copies(SpillMap(tmp_path / "copies", 10_000))
    copies.add([record(offset, value=b"on-%d" % offset) for offset in range(3)])
    return copies


def merged(merge: Merge) -> list[int | bytes | None]:
    """Return what is counted: the input's events by offset, the others by value."""
    found: list[int | bytes | None] = []
    for each in map(record, range(6)):
        found += [arrival.value for arrival in merge.before(each)]
        found.append(each.offset)
    return found + [arrival.value for arrival in merge.after_all()]


def test_passed_on_events_are_counted_where_the_order_says(copies: Copies) -> None:
    copies.set_order(ORDER, is_whole=True)
    merge = Merge(copies.unnamed(), copies.named())
    assert merge.is_known
    assert merged(merge) == [0, 1, 2, b"on-0", b"on-1", 3, 4, b"on-2", 5]


def test_what_came_when_the_input_was_at_its_end_is_counted_last(copies: Copies) -> None:
    copies.set_order([b"[[9, 3]]"], is_whole=True)
    assert merged(Merge(copies.unnamed(), copies.named()))[-3:] == [b"on-0", b"on-1", b"on-2"]


def test_without_an_order_they_are_counted_when_they_were_sent(copies: Copies) -> None:
    """Records of both topics were sent at 1 s plus their offset in ms."""
    copies.set_order([], is_whole=True)
    merge = Merge(copies.unnamed(), copies.named())
    assert not merge.is_known
    assert merged(merge) == [b"on-0", 0, b"on-1", 1, b"on-2", 2, 3, 4, 5]


def test_of_an_order_that_has_lost_its_beginning_the_rest_counts(copies: Copies) -> None:
    copies.set_order(ORDER, is_whole=False)
    merge = Merge(copies.unnamed(), copies.named())
    assert not merge.is_known
    assert merged(merge) == [b"on-0", 0, b"on-1", 1, 2, 3, 4, b"on-2", 5]


def test_what_has_no_copy_any_more_came_before_all_that_has_one(copies: Copies) -> None:
    copies.set_order([b"[[0, 3]]"], is_whole=True)
    gone = [Arrival(-1, 1004, b"gone")]
    merge = Merge(chain(gone, copies.unnamed()), copies.named())
    assert merged(merge)[:4] == [b"gone", b"on-0", b"on-1", b"on-2"]


def test_an_order_record_names_each_place_once() -> None:
    order = MergeOrder()
    assert not order
    for pair in ((3, 1), (3, 2), (5, 3)):
        order.note(*pair)
    assert order
    taken = order.take()
    assert (unpack_order([taken]), bool(order)) == ([(3, 2), (5, 3)], False)


@pytest.mark.parametrize("value", [None, b"", b"[1]", b"[[1, 2, 3]]", b'{"a": 1}'])
def test_what_is_no_order_record_is_an_error(value: bytes | None) -> None:
    with pytest.raises(CodecError):
        unpack_order([value])
