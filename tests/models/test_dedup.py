"""Promises about many event ids of a user: sealed, looked up, forgotten."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.counters import USER
from models.dedup import BLOCK_IDS, MAX_BLOCKS, MAX_SEEN, block_key, index_key, size_of
from models.errors import CodecError
from models.user import UserWindows
from models.windows import Slices
from tests.counted import of_user
from tests.models.older import make_version_2
from tests.models.plain_user import PlainUser

MINUTE, HOUR = 60_000, 3_600_000
NOON = 1_736_942_400_000  # 2025-01-15T12:00:00Z
KEY = b"17"
HORIZON = 20 * MINUTE

WINDOWS = UserWindows(Slices(HOUR, 15 * MINUTE), HORIZON)


class User:
    """One user's rows."""

    def __init__(self, windows: UserWindows = WINDOWS) -> None:
        #: None: a deleted row. (Any, because a test knows which rows exist.)
        self.rows: dict[bytes, Any] = {}
        self.windows = windows

    def view(self, event_id: int, now: int = NOON) -> bool:
        return self.windows.apply(self.rows, KEY, of_user("video_view", 1000), now, event_id, now)

    @property
    def blocks(self) -> set[int]:
        """Return the numbers of the existing blocks."""
        return {
            int(number)
            for key, row in self.rows.items()
            if row is not None and (number := key.partition(b":")[2]).isdigit()
        }

    def views(self, at: int = NOON) -> int:
        return self.windows.metrics(self.rows[KEY], at).views


def test_an_event_rewrites_few_of_many_ids() -> None:
    user = User()
    for event_id in range(1000):
        user.view(event_id)
    written: dict[bytes, bytes] = {}
    sizes: list[int] = []

    class Rows:
        get = user.rows.get

        def __setitem__(self, key: bytes, row: bytes | None) -> None:
            assert row is not None
            written[key] = row

    for event_id in range(1000, 1000 + BLOCK_IDS):
        assert WINDOWS.apply(Rows(), KEY, of_user("like"), NOON, event_id, NOON)
        user.rows |= written
        sizes.append(sum(map(len, written.values())))
        written.clear()
    sizes.sort()
    assert sizes[-2] <= 8 + 12 * BLOCK_IDS + USER.rows.size
    assert sizes[-1] < 3 * 1000
    assert user.blocks == set(range((999 + BLOCK_IDS) // BLOCK_IDS))


def test_every_id_is_a_duplicate_wherever_it_lies() -> None:
    user = User()
    for event_id in range(100):
        assert user.view(event_id * 0x1_0000_0001)
    for event_id in range(100):
        before = dict(user.rows)
        assert not user.view(event_id * 0x1_0000_0001)
        assert user.rows == before
    assert user.views() == 100


def test_ids_that_look_alike_in_a_value_are_told_apart_by_their_block() -> None:
    user = User()
    for event_id in range(40):
        user.view(event_id)
    for event_id in range(40):
        assert user.view(event_id | 1 << 16)
    assert user.views() == 80


def test_blocks_past_the_horizon_are_deleted_when_another_is_sealed_or_all_of_them_are() -> None:
    user = User()
    for event_id in range(50):
        user.view(event_id, NOON + event_id * MINUTE)
    assert user.rows[block_key(KEY, 0)] is None
    assert user.view(0, NOON + 50 * MINUTE)
    assert not user.view(45, NOON + 50 * MINUTE)
    assert user.blocks == {1, 2}
    assert user.view(100, NOON + 5 * HOUR)
    assert user.blocks == set()
    assert user.rows[index_key(KEY)] is None
    assert size_of(user.rows[KEY]) == 4 + 12


def test_a_duplicate_changes_nothing_though_a_block_is_past_the_horizon() -> None:
    user = User()
    for event_id in range(30):
        user.view(event_id, NOON + event_id * MINUTE // 2)
    before = dict(user.rows)
    assert not user.view(29, NOON + 29 * MINUTE)
    assert user.rows == before
    assert user.view(0, NOON + 29 * MINUTE)


def test_of_very_many_ids_the_oldest_are_forgotten_first() -> None:
    user = User()
    for event_id in range(MAX_SEEN + 1):
        assert user.view(event_id)
    assert len(user.blocks) == MAX_BLOCKS
    assert not user.view(BLOCK_IDS)
    assert not user.view(MAX_SEEN)
    assert user.view(BLOCK_IDS - 1)
    assert user.views() == MAX_SEEN + 2


def test_numbers_of_blocks_go_round() -> None:
    user = User()
    for event_id in range(3 * MAX_SEEN):
        assert user.view(event_id, NOON)
    for event_id in range(3 * MAX_SEEN - MAX_SEEN + BLOCK_IDS, 3 * MAX_SEEN):
        assert not user.view(event_id, NOON)
    assert len(user.blocks) == MAX_BLOCKS


def test_blocks_and_their_index_expire_when_the_newest_id_in_them_does() -> None:
    user = User()
    for event_id in range(2 * BLOCK_IDS + 1):
        user.view(event_id, NOON + event_id)
    for key, ids in (
        (block_key(KEY, 0), BLOCK_IDS),
        (block_key(KEY, 1), 2 * BLOCK_IDS),
        (index_key(KEY), 2 * BLOCK_IDS),
    ):
        newest = NOON + ids - 1
        assert not WINDOWS.is_expired(user.rows[key], newest + HORIZON)
        assert WINDOWS.is_expired(user.rows[key], newest + HORIZON + 1)


@pytest.mark.parametrize("key", [block_key(KEY, 0), index_key(KEY)])
def test_a_sealed_row_of_an_unknown_version_is_an_error(key: bytes) -> None:
    user = User()
    for event_id in range(BLOCK_IDS + 1):
        user.view(event_id)
    user.rows[key] = b"\x07" + bytes(200)
    with pytest.raises(CodecError, match=f"event ids {key.decode()}"):
        user.view(3)


def test_an_index_of_other_blocks_than_the_value_knows_is_an_error() -> None:
    user = User()
    for event_id in range(BLOCK_IDS + 1):
        user.view(event_id)
    of_one = user.rows[index_key(KEY)]
    for event_id in range(BLOCK_IDS + 1, 2 * BLOCK_IDS + 1):
        user.view(event_id)
    user.rows[index_key(KEY)] = of_one
    with pytest.raises(CodecError, match="17:i belongs to another value"):
        user.view(100)


def test_whether_the_index_is_read_is_told_by_the_value() -> None:
    user = User()
    for event_id in range(BLOCK_IDS + 1):
        assert WINDOWS.index_asked(KEY, user.rows.get(KEY), NOON) is None
        user.view(event_id)
    value = user.rows[KEY]
    assert WINDOWS.index_asked(KEY, value, NOON + HORIZON) == index_key(KEY)
    assert WINDOWS.index_asked(KEY, value, NOON + HORIZON + 1) is None
    del user.rows[index_key(KEY)]
    assert user.view(100, NOON + HORIZON + 1)


class TestVersion1:
    """Values that contain all ids."""

    @staticmethod
    def value(count: int, views: int | None = None) -> bytes:
        ids = b"".join(
            struct.pack("<QI", event_id, (NOON + event_id) % 2**32) for event_id in range(count)
        )
        row = struct.pack("<IIIQ", NOON // (15 * MINUTE), count if views is None else views, 0, 0)
        return struct.pack("<BxH", 1, count) + ids + row

    @pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 32, 300, 4095, 4096])
    def test_is_read_and_turned_into_the_present_one(self, count: int) -> None:
        user = User()
        user.rows[KEY] = self.value(count)
        now = NOON + 5000
        assert user.views() == count
        assert WINDOWS.series(user.rows[KEY], now)[0].views == count
        assert not WINDOWS.is_expired(user.rows[KEY], now)
        for event_id in {0, count // 2, count - 1} & set(range(count)):
            assert not user.view(event_id, now)
        assert user.rows[KEY][0] == 1
        assert user.view(10_000, now)
        assert user.rows[KEY][0] == USER.version
        assert user.views(now) == count + 1
        for event_id in range(max(0, count - MAX_SEEN + BLOCK_IDS), count):
            assert not user.view(event_id, now)

    def test_is_expired_when_neither_steps_nor_ids_count(self) -> None:
        value = self.value(3, views=0)
        assert not WINDOWS.is_expired(value, NOON + HORIZON)
        assert WINDOWS.is_expired(value, NOON + 2 * HOUR)


class TestVersion2:
    """Values that held the block entries that the index holds now."""

    @staticmethod
    def user(count: int) -> User:
        user = User()
        for event_id in range(count):
            user.view(event_id, NOON + event_id)
        return user

    @pytest.mark.parametrize("count", [17, 32, 33, 300, 4096, 4097, 5000])
    def test_is_read_and_turned_into_the_present_one(self, count: int) -> None:
        user, present = self.user(count), self.user(count)
        make_version_2(user.rows, KEY)
        now = NOON + 6000
        assert user.views() == count
        assert not WINDOWS.is_expired(user.rows[KEY], now)
        for event_id in {count // 2, count - 1}:
            assert user.view(event_id, now) == present.view(event_id, now)
        assert user.rows[KEY][0] == 2
        for event_id in range(10_000, 10_000 + BLOCK_IDS):
            assert user.view(event_id, now)
            assert present.view(event_id, now)
            assert user.rows == present.rows

    def test_without_blocks_differs_by_its_number_and_its_steps(self) -> None:
        user = self.user(5)
        make_version_2(user.rows, KEY)
        present = self.user(5).rows[KEY]
        assert user.rows[KEY][0] == 2
        assert user.rows[KEY][1:-20] == present[1 : -USER.rows.size]
        assert not user.view(3, NOON + 5)
        assert user.view(5, NOON + 5)
        assert user.rows == self.user(6).rows

    def test_drops_blocks_that_are_past_the_horizon(self) -> None:
        user = self.user(40)
        make_version_2(user.rows, KEY)
        assert user.view(1, NOON + HORIZON + 16)
        assert user.blocks == {1}
        assert user.view(2, NOON + 2 * HOUR)
        assert user.blocks == set()

    def test_is_expired_when_neither_steps_nor_ids_count(self) -> None:
        user = self.user(40)
        make_version_2(user.rows, KEY)
        assert not WINDOWS.is_expired(user.rows[KEY], NOON + HORIZON)
        assert WINDOWS.is_expired(user.rows[KEY], NOON + 2 * HOUR)


@st.composite
def sessions(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Draw (event id, stream time): many ids, some again, with pauses."""
    now = draw(st.sampled_from([NOON, 405 * 2**32 - 5 * MINUTE]))
    found = []
    for _ in range(draw(st.integers(1, 8))):
        now += draw(st.sampled_from([0, 1, MINUTE, HORIZON, HORIZON + 1, 2 * HOUR, 2**32]))
        pace = draw(st.sampled_from([0, 1, MINUTE]))
        for _ in range(draw(st.integers(1, 40))):
            event_id = draw(st.integers(0, 400))
            found.append((event_id | (event_id & 3) << 16, now))
            now += pace
    return found


@given(sessions(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_duplicates_are_those_of_all_events_remembered_plainly(
    session: list[tuple[int, int]], swept: bool
) -> None:
    """Also if all expired rows are deleted after each event."""
    user, plain = User(), PlainUser(HOUR, 15 * MINUTE, HORIZON)
    for event_id, now in session:
        assert user.view(event_id, now) == plain.apply("video_view", now, 1000, event_id, now)
        assert user.windows.metrics(user.rows[KEY], now).views == plain.metrics(now)[0]
        if swept:
            expired = WINDOWS.is_expired
            user.rows = {k: row for k, row in user.rows.items() if row and not expired(row, now)}


@given(sessions(), sessions())
@settings(max_examples=200, deadline=None)
def test_a_longer_horizon_finds_swept_ids_forgotten_and_the_others_known(
    before: list[tuple[int, int]], after: list[tuple[int, int]]
) -> None:
    """A sweep has deleted sealed ids that are within the new, longer horizon."""
    user = User()
    added: dict[int, int] = {}
    start = before[-1][1] - after[0][1]
    horizons = [(HORIZON, before), (3 * HORIZON, [(i, now + start) for i, now in after])]
    for horizon, session in horizons:
        user.windows = UserWindows(Slices(HOUR, 15 * MINUTE), horizon)
        for event_id, now in session:
            is_applied = user.view(event_id, now)
            age = now - added.get(event_id, -(2**40))
            if age <= HORIZON:
                assert not is_applied
            elif age > horizon:
                assert is_applied
            if is_applied:
                added[event_id] = now
            expired = user.windows.is_expired
            user.rows = {k: row for k, row in user.rows.items() if row and not expired(row, now)}
