"""Rows moved to a partition of another stream time: ids are remembered for as long as before."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from models.counters import USER
from models.dedup import is_sealed_key
from models.event import Metadata
from models.moved import later, parents
from models.partitioner import partition_of
from models.user import UserWindows
from models.windows import Slices
from tests.models.older import make_version_1, make_version_2

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping


HOUR = 3_600_000
LIKE = USER.increments("like", Metadata())
AT = 1_736_951_445_123
#: A 32-bit clock wraps around between the ids and their moved counterparts.
TURNS = 2**32 * 405 - 500_000


@pytest.mark.parametrize(("before", "after"), [(8, 32), (4, 6), (6, 4), (3, 5), (5, 1), (1, 7)])
def test_a_partitions_parents_are_those_that_share_keys_with_it(before: int, after: int) -> None:
    shared = {(partition_of(key, after), partition_of(key, before)) for key in range(5000)}
    for partition in range(after):
        assert list(parents(partition, before, after)) == sorted(
            parent for target, parent in shared if target == partition
        )


@pytest.mark.parametrize("start", [AT, TURNS])
@pytest.mark.parametrize("ids", [3, 40, 200])
@pytest.mark.parametrize("ms", [1, 1700, 5 * HOUR])
def test_a_duplicate_stays_one_for_exactly_as_long(start: int, ids: int, ms: int) -> None:
    """Each event is also applied to a table that was not moved: open, sealed and forgotten ids."""
    windows = UserWindows(Slices(24 * HOUR, HOUR // 4), HOUR)
    rows: dict[bytes, bytes | None] = {}
    rng, now = random.Random(ids), start
    for number in range(ids):
        now += rng.randrange(60_000)
        windows.apply(rows, b"5", LIKE, now, number, now)
    moved = {key: row and later(row, ms) for key, row in rows.items()}
    assert any(map(is_sealed_key, rows)) == (ids > 16)
    outcomes = set()
    for _ in range(300):
        now, number = now + rng.randrange(30_000), rng.randrange(ids + 20)
        there = windows.apply(rows, b"5", LIKE, start, number, now)
        here = windows.apply(moved, b"5", LIKE, start, number, now + ms)
        assert here == there
        outcomes.add(here)
    assert outcomes == {True, False}


@pytest.mark.parametrize("make_older", [make_version_1, make_version_2])
def test_values_of_earlier_versions_are_moved_too(
    make_older: Callable[[MutableMapping[bytes, bytes | None], bytes], None],
) -> None:
    rows: dict[bytes, bytes | None] = {}
    windows = UserWindows(Slices(24 * HOUR, HOUR // 4), HOUR)
    for number in range(40):
        windows.apply(rows, b"5", LIKE, AT, number, AT + number * 1000)
    make_older(rows, b"5")
    moved = {key: row and later(row, 7000) for key, row in rows.items()}
    for number in range(60):
        now = AT + HOUR + 20_000
        there = windows.apply(rows, b"5", LIKE, AT, number, now)
        assert windows.apply(moved, b"5", LIKE, AT, number, now + 7000) == there
        assert there == (number < 20 or number >= 40)
