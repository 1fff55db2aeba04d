"""Promises about valid changelog rows: all that the program writes, and little else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelerator import rows as compiled
from models import rows as plain
from models.counters import CREATOR, VIDEO
from models.cut import CUT_BYTES, CutBytes
from models.dedup import (
    BLOCK_IDS,
    ID_SIZE,
    block_key,
    index_entry,
    index_key,
    pack_block,
    pack_index,
)
from models.pane_windows import PaneWindows
from models.schema import Metadata
from models.user import UserWindows
from models.video import VideoWindows
from models.windows import Slices
from tests.counted import of_user, of_video

if TYPE_CHECKING:
    from types import ModuleType

    from models.rows import FindForeign, Rows


LAYOUT = b"__layout__"
HOUR = 3_600_000
USERS = UserWindows(Slices(24 * HOUR, HOUR), HOUR)
VIDEOS = VideoWindows(Slices(2 * HOUR, HOUR // 12))
CREATORS = PaneWindows(CREATOR, Slices(24 * HOUR, HOUR))
NOW = 1_736_951_445_123

FORMS = {"plain": plain, "compiled": compiled}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
IDS = bytes(BLOCK_IDS * ID_SIZE)
USER = b"\x03\0\0\1" + bytes(ID_SIZE) + bytes(20)


def videos_of(form: ModuleType) -> FindForeign:
    """Return the function that finds rows that no video has."""
    found: FindForeign = form.foreign_sums(VIDEO, len(VIDEOS.empty))
    return found


def video() -> bytes:
    return VIDEOS.apply(None, NOW // (HOUR // 12), of_video(1, 2, 3, 4), NOW)


@each_form
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, HOUR // 2), st.integers(0, 400)), max_size=80
    )
)
def test_all_rows_of_users_are_the_programs(
    form: ModuleType, events: list[tuple[int, int, int]]
) -> None:
    written: dict[bytes, bytes | None] = {}
    now = NOW
    for user, after, number in events:
        now += after
        USERS.apply(written, b"%d" % user, of_user("video_view", 7), now, number, now)
    assert form.foreign_users(written, LAYOUT) == []


@each_form
def test_blocks_and_indexes_and_deletions_are_the_programs(form: ModuleType) -> None:
    rows = {
        index_key(b"7"): pack_index(NOW, index_entry(IDS)),
        block_key(b"7", 0): pack_block(NOW, IDS),
        block_key(b"7", 255): pack_block(NOW, IDS),
        block_key(b"7", 3): None,
        b"0": USER,
        b"9223372036854775807": None,
        LAYOUT: b"judged by others",
    }
    assert form.foreign_users(rows, LAYOUT) == []


@each_form
def test_all_rows_of_videos_are_the_programs(form: ModuleType) -> None:
    flagged = VIDEOS.with_detected_at(video(), NOW)
    assert videos_of(form)({b"1": video(), b"2": flagged, b"3": None}, LAYOUT) == []


@each_form
@pytest.mark.parametrize(
    ("key", "row"),
    [
        (None, USER),
        (None, None),
        (b"", USER),
        (b"07", USER),
        (b"-7", USER),
        (b"7 ", USER),
        (b"seven", USER),
        (b"7" * 21, USER),
        (b"__faust\0offset__", USER),
        (b"7:", USER),
        (b"7:i", USER),
        (b"7:256", pack_block(NOW, IDS)),
        (b"7:00", pack_block(NOW, IDS)),
        (b"7:j", pack_block(NOW, IDS)),
        (b"7:1:1", pack_block(NOW, IDS)),
        (b"7", pack_block(NOW, IDS)),
        (b"7:1", pack_block(NOW, IDS[:-1])),
        (b"7:i", pack_index(NOW, b"")),
        (b"7:i", pack_index(NOW, index_entry(IDS)[:-1])),
        (b"7", b""),
        (b"7", b"\x03"),
        (b"7", b"\x09" + USER[1:]),
        (b"7", USER[:-1]),
        (b"7", b'{"user": 7}'),
        (b"7", CutBytes.of(bytes(CUT_BYTES), 1 << 30)),
    ],
)
def test_what_no_worker_writes_of_users_is_found(
    form: ModuleType, key: bytes | None, row: bytes | None
) -> None:
    assert form.foreign_users({b"1": USER, key: row, b"2": USER}, LAYOUT) == [key]


@each_form
@pytest.mark.parametrize("key", [b"7:i", b"7:1", b"x", None])
@pytest.mark.parametrize("row", [video(), b"", b"\x02", video()[:-1], b"\x02" + video()[1:]])
def test_what_no_worker_writes_of_videos_is_found(
    form: ModuleType, key: bytes | None, row: bytes | None
) -> None:
    assert videos_of(form)({b"1": video(), key: row}, LAYOUT) == [key]


KEYS = (
    st.none()
    | st.binary(max_size=8)
    | st.integers(0, 2**66).map(lambda number: b"%d" % number)
    | st.from_regex(rb"[0-9]{1,3}:(i|[0-9]{1,4})", fullmatch=True)
)
ROWS = st.none() | st.builds(
    lambda head, more: head + bytes(more),
    st.binary(max_size=6)
    | st.sampled_from([b"\x01\0\0\0", b"\x02\1\0\1", b"\x03\1\0\1", b"\x82", b"\x83"]),
    st.integers(0, 250),
)


@given(st.dictionaries(KEYS, ROWS, max_size=6))
def test_both_forms_find_the_same(rows: Rows) -> None:
    assert compiled.foreign_users(rows, LAYOUT) == plain.foreign_users(rows, LAYOUT)
    assert videos_of(compiled)(rows, LAYOUT) == videos_of(plain)(rows, LAYOUT)


@given(st.dictionaries(KEYS, ROWS, max_size=6))
def test_what_is_not_found_can_be_read_and_swept(rows: Rows) -> None:
    foreign = plain.foreign_users(rows, LAYOUT)
    for key, row in rows.items():
        if key not in foreign and row is not None:
            assert key is not None
            USERS.is_expired(row, NOW)
            if b":" not in key:
                USERS.metrics(row, NOW)
    foreign = videos_of(plain)(rows, LAYOUT)
    for key, row in rows.items():
        if key not in foreign and row is not None:
            VIDEOS.is_expired(row, NOW)
            VIDEOS.rolling(row, NOW)
            VIDEOS.detected_at(row)


@each_form
@pytest.mark.parametrize(
    ("key", "row"),
    [
        (b"x", b"\x01"),
        (b"1:i", b"\x01"),
        (b"1", b""),
        (b"1", b"\x02"),
        (b"1", b"\x01" + bytes(CREATOR.row_sizes[1] - 1)),
    ],
)
def test_what_no_creator_has_is_foreign(form: ModuleType, key: bytes, row: bytes | None) -> None:
    """A value is a version and whole rows, under a numeric key."""
    view = CREATOR.increments("video_view", Metadata(1000, 0.5))
    value = CREATORS.apply(None, NOW // HOUR, view, NOW)
    assert form.foreign_sums(CREATOR, len(CREATORS.empty))(
        {b"7": value, b"8": None, key: row}, LAYOUT
    ) == [key]
