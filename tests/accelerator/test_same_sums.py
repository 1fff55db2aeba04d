"""Promises that batches are summed alike in both forms, and as single reads are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelerator import ReadBackend, layer_backend
from models.counters import CREATOR, USER, VIDEO
from models.errors import CodecError
from models.pane_windows import PaneWindows
from models.panes import PaneRows
from models.partitioner import partition_of
from models.user import UserWindows
from models.video import VideoWindows
from models.windows import Slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models._protocols import Sums
    from models.entity import Entity
    from models.sums import Panes, Totals


# Panes of 1 s, windows of 4: so few that values reach every edge of them.
SLICES = Slices(4000, 1000)
USERS, VIDEOS, CREATORS = (
    UserWindows(SLICES, 2000),
    VideoWindows(SLICES),
    PaneWindows(CREATOR, SLICES),
)
PLAIN, COMPILED = ReadBackend.of(accelerated=False), ReadBackend.of(accelerated=True)

U32 = st.integers(0, 3) | st.integers(2**32 - 3, 2**32 - 1)
U64 = st.integers(0, 3) | st.integers(2**64 - 3, 2**64 - 1)
TIMES = st.integers(0, 12_000)
WINDOWS = st.lists(
    st.tuples(st.integers(-5, 14), st.integers(0, 5)).map(lambda w: (w[0], w[0] + w[1])),
    min_size=1,
    max_size=3,
).map(tuple)


def rows_of(entity: Entity[Any]) -> st.SearchStrategy[bytes]:
    """Draw the rows of a value: distinct panes in order."""
    counters = st.tuples(*(U32 if c.code == "I" else U64 for c in entity.counters.values()))
    rows = st.dictionaries(st.integers(0, 12), counters, max_size=6)
    pack = entity.rows.pack
    return rows.map(lambda r: b"".join(pack(pane, *r[pane]) for pane in sorted(r)))


@st.composite
def user_values(draw: st.DrawFn) -> bytes:
    """Draw a value of the current layout."""
    blocks = draw(st.integers(0, 2))
    ids = draw(st.lists(st.tuples(st.integers(0, 2**64 - 1), TIMES), max_size=16))
    value = bytes((USER.version, blocks, draw(st.integers(0, 255)), len(ids)))
    value += draw(TIMES).to_bytes(4, "little") if blocks else b""
    value += b"".join(h.to_bytes(8, "little") + t.to_bytes(4, "little") for h, t in ids)
    return value + draw(rows_of(USER))


VIDEO_VALUES = st.builds(
    lambda since, rows: VIDEOS.with_detected_at(None, since) + rows,
    st.integers(0, 2**63),
    rows_of(VIDEO),
)


CREATOR_VALUES = rows_of(CREATOR).map(CREATORS.empty.__add__)


def sums_of(table: str, reading: ReadBackend) -> Sums:
    """Return the object that sums the values of a table."""
    if table == "users":
        return reading.user_sums(USERS)
    return reading.pane_sums(VIDEOS if table == "videos" else CREATORS)


def both(
    table: str, values: Sequence[bytes | None], now: int, windows: tuple[Panes, ...]
) -> list[list[tuple[int, ...] | None]]:
    """Return the sums of some values in both forms."""
    answers = []
    for accelerated, reading in (False, PLAIN), (True, COMPILED):
        form = layer_backend(accelerated=accelerated)
        keys = [b"%d" % number for number in range(len(values))]
        found = form.find([form.layer()], keys)
        by_key = dict(zip(keys, values, strict=True))
        found.fill([by_key[key] for key in found.missing])
        answers.append(listed(sums_of(table, reading).of(found, now, windows), len(values)))
    return answers


def listed(totals: Totals, count: int) -> list[tuple[int, ...] | None]:
    """Return the sums of each value; None if nothing is known of its key."""
    assert totals.rows.dtype in (np.uint64, object)
    sums = dict(zip(totals.numbers, map(tuple, totals.rows.tolist()), strict=True))
    return [sums.get(number) for number in range(count)]


@given(st.lists(st.none() | user_values(), max_size=12), TIMES, WINDOWS)
@settings(max_examples=400)
def test_users_are_summed_the_same(
    values: list[bytes | None], now: int, windows: tuple[Panes, ...]
) -> None:
    plain, compiled = both("users", values, now, windows)
    assert compiled == plain


@given(st.lists(st.none() | VIDEO_VALUES, max_size=12), TIMES, WINDOWS)
@settings(max_examples=400)
def test_videos_are_summed_the_same(
    values: list[bytes | None], now: int, windows: tuple[Panes, ...]
) -> None:
    plain, compiled = both("videos", values, now, windows)
    assert compiled == plain


@given(st.lists(st.none() | CREATOR_VALUES, max_size=12), TIMES, WINDOWS)
@settings(max_examples=400)
def test_creators_are_summed_the_same(
    values: list[bytes | None], now: int, windows: tuple[Panes, ...]
) -> None:
    plain, compiled = both("creators", values, now, windows)
    assert compiled == plain


@given(st.lists(CREATOR_VALUES, max_size=4), TIMES, TIMES)
def test_sums_of_creators_are_those_of_single_reads(
    creators: list[bytes], now: int, at: int
) -> None:
    for sums in both("creators", creators, now, (SLICES.window_at(at),)):
        for value, found in zip(creators, sums, strict=True):
            assert (found is None) == CREATORS.is_expired(value, now)
            if found is not None:
                assert found == CREATORS.rolling(value, at)[2:]


@given(st.lists(user_values(), max_size=4), st.lists(VIDEO_VALUES, max_size=4), TIMES, TIMES)
def test_sums_are_those_of_single_reads(
    users: list[bytes], videos: list[bytes], now: int, at: int
) -> None:
    hopping, tumbling = SLICES.window_at(at), SLICES.tumbling_at(at)
    for sums in both("users", users, now, (hopping,)):
        for value, found in zip(users, sums, strict=True):
            assert (found is None) == USERS.is_expired(value, now)
            if found is not None:
                assert found == USERS.metrics(value, at)[2:]
    for sums in both("videos", videos, now, (hopping, tumbling)):
        for value, found in zip(videos, sums, strict=True):
            assert (found is None) == VIDEOS.is_expired(value, now)
            if found is not None:
                assert found == VIDEOS.rolling(value, at)[2:] + VIDEOS.tumbling(value, at)[2:]


def test_values_of_earlier_versions_are_summed() -> None:
    row = PaneRows("IIQ").pack(3, 5, 2, 700)
    versions = {
        1: b"\x01\x00\x01\x00" + bytes(12) + row,
        2: b"\x02\x00\x00\x01" + bytes(12) + row,
        3: b"\x03\x00\x00\x01" + bytes(12) + row,
    }
    for version, value in versions.items():
        assert USERS.metrics(value, 3500)[2:] == (5, 2, 700, 0, 0), version
    for sums in both("users", list(versions.values()), 3500, ((0, 4),)):
        assert sums == [(5, 2, 700, 0, 0)] * 3


@pytest.mark.parametrize("table", ["users", "videos", "creators"])
@pytest.mark.parametrize("accelerated", [False, True])
def test_a_value_of_an_unknown_version_is_refused(table: str, accelerated: bool) -> None:
    form, reading = layer_backend(accelerated=accelerated), (PLAIN, COMPILED)[accelerated]
    found = form.find([form.layer()], [b"1"])
    found.fill([b"\x07" + bytes(60)])
    with pytest.raises(CodecError, match="unknown version 7"):
        sums_of(table, reading).of(found, 0, ((0, 4),))


@given(st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 200)), st.integers(1, 64))
def test_keys_are_in_the_same_partitions(ids: list[int], partitions: int) -> None:
    places = COMPILED.by_partition(ids, partitions)
    assert places == PLAIN.by_partition(ids, partitions)
    assert sorted(place for some in places.values() for place in some) == list(range(len(ids)))
    for partition, some in places.items():
        assert some == sorted(some)
        assert {partition_of(ids[place], partitions) for place in some} == {partition}
