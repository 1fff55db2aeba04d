"""Promises about a user's event ids once there are many of them: sealed, asked for, let go."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import CodecError
from models.seen import BLOCK_IDS, MAX_BLOCKS, MAX_SEEN, block_key, is_block_key, size_of
from models.user import UserWindows
from models.windows import Slices
from tests.models.plain_user import PlainUser

MINUTE, HOUR = 60_000, 3_600_000
NOON = 1_736_942_400_000  # 2025-01-15T12:00:00Z
KEY = b"17"
HORIZON = 20 * MINUTE

WINDOWS = UserWindows(Slices(HOUR, 15 * MINUTE), HORIZON)


class User:
    """One user's rows."""

    def __init__(self, windows=WINDOWS):
        self.rows = {}
        self.windows = windows

    def view(self, event_id, now=NOON):
        return self.windows.apply(self.rows, KEY, "video_view", now, 1000, event_id, now)

    @property
    def blocks(self):
        """Numbers of the blocks that there are."""
        return {
            int(key.split(b":")[1])
            for key, row in self.rows.items()
            if is_block_key(key) and row is not None
        }

    def views(self, at=NOON):
        return self.windows.metrics(self.rows[KEY], at).views


def test_an_event_rewrites_few_of_many_ids():
    user = User()
    for event_id in range(1000):
        user.view(event_id)
    written = {}

    class Rows:
        get = user.rows.get

        def __setitem__(self, key, row):
            written[key] = row

    assert WINDOWS.apply(Rows(), KEY, "like", NOON, 0, 5000, NOON)
    assert sum(map(len, written.values())) < 3 * 1000
    assert user.blocks == set(range(999 // BLOCK_IDS))


def test_every_id_is_a_duplicate_wherever_it_lies():
    user = User()
    for event_id in range(100):
        assert user.view(event_id * 0x1_0000_0001)
    for event_id in range(100):
        before = dict(user.rows)
        assert not user.view(event_id * 0x1_0000_0001)
        assert user.rows == before
    assert user.views() == 100


def test_ids_that_look_alike_in_a_value_are_told_apart_by_their_block():
    user = User()
    for event_id in range(40):
        user.view(event_id)
    for event_id in range(40):
        assert user.view(event_id | 1 << 16)
    assert user.views() == 80


def test_blocks_past_the_horizon_are_deleted_with_the_next_event():
    user = User()
    for event_id in range(50):
        user.view(event_id, NOON + event_id * MINUTE)
    assert user.rows[block_key(KEY, 0)] is None
    assert user.view(0, NOON + 50 * MINUTE)
    assert not user.view(45, NOON + 50 * MINUTE)
    assert user.view(100, NOON + 5 * HOUR)
    assert user.blocks == set()
    assert size_of(user.rows[KEY]) == 4 + 12


def test_a_duplicate_changes_nothing_though_a_block_is_past_the_horizon():
    user = User()
    for event_id in range(30):
        user.view(event_id, NOON + event_id * MINUTE // 2)
    before = dict(user.rows)
    assert not user.view(29, NOON + 29 * MINUTE)
    assert user.rows == before
    assert user.view(0, NOON + 29 * MINUTE)


def test_of_very_many_ids_the_oldest_are_forgotten_first():
    user = User()
    for event_id in range(MAX_SEEN + 1):
        assert user.view(event_id)
    assert len(user.blocks) == MAX_BLOCKS
    assert not user.view(BLOCK_IDS)
    assert not user.view(MAX_SEEN)
    assert user.view(BLOCK_IDS - 1)
    assert user.views() == MAX_SEEN + 2


def test_numbers_of_blocks_go_round():
    user = User()
    for event_id in range(3 * MAX_SEEN):
        assert user.view(event_id, NOON)
    for event_id in range(3 * MAX_SEEN - MAX_SEEN + BLOCK_IDS, 3 * MAX_SEEN):
        assert not user.view(event_id, NOON)
    assert len(user.blocks) == MAX_BLOCKS


def test_a_block_expires_when_its_newest_id_does():
    user = User()
    for event_id in range(BLOCK_IDS + 1):
        user.view(event_id, NOON + event_id)
    block = user.rows[block_key(KEY, 0)]
    newest = NOON + BLOCK_IDS - 1
    assert not WINDOWS.is_expired(block, newest + HORIZON)
    assert WINDOWS.is_expired(block, newest + HORIZON + 1)


@pytest.mark.parametrize("block", [None, b"\x07" + bytes(200)])
def test_a_block_that_is_missing_or_unknown_is_an_error(block):
    user = User()
    for event_id in range(BLOCK_IDS + 1):
        user.view(event_id)
    user.rows[block_key(KEY, 0)] = block
    with pytest.raises(CodecError, match="block of event ids 17:0"):
        user.view(3)


class TestVersion1:
    """Values of the version before, with all ids in them."""

    @staticmethod
    def value(count, views=None):
        ids = b"".join(
            struct.pack("<QI", event_id, (NOON + event_id) % 2**32) for event_id in range(count)
        )
        row = struct.pack("<IIIQ", NOON // (15 * MINUTE), count if views is None else views, 0, 0)
        return struct.pack("<BxH", 1, count) + ids + row

    @pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 32, 300, 4095, 4096])
    def test_is_read_and_turned_into_the_present_one(self, count):
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
        assert user.rows[KEY][0] == 2
        assert user.views(now) == count + 1
        for event_id in range(max(0, count - MAX_SEEN + BLOCK_IDS), count):
            assert not user.view(event_id, now)

    def test_is_expired_when_neither_steps_nor_ids_count(self):
        value = self.value(3, views=0)
        assert not WINDOWS.is_expired(value, NOON + HORIZON)
        assert WINDOWS.is_expired(value, NOON + 2 * HOUR)


@st.composite
def sessions(draw):
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
def test_duplicates_are_those_of_all_events_remembered_plainly(session, swept):
    """Also where all that is expired is deleted after each event."""
    user, plain = User(), PlainUser(HOUR, 15 * MINUTE, HORIZON)
    for event_id, now in session:
        assert user.view(event_id, now) == plain.apply("video_view", now, 1000, event_id, now)
        assert user.windows.metrics(user.rows[KEY], now).views == plain.metrics(now)[0]
        if swept:
            expired = WINDOWS.is_expired
            user.rows = {k: row for k, row in user.rows.items() if row and not expired(row, now)}
