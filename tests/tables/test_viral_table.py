"""The list of viral videos: records of other apps neither stop it nor enter it."""

from __future__ import annotations

import json
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import CodecError
from models.schema import SOURCE_APP
from tables.records import ViralVideo
from tables.viral import ViralPartition

FLAG = {
    "video_id": 7,
    "viral_coefficient": 2.5,
    "views": 1000,
    "shares": 2000,
    "comments": 500,
    "detected_at": "2025-01-15T14:30:45.123Z",
    "window_start": "2025-01-15T12:35:00Z",
    "window_end": "2025-01-15T14:35:00Z",
}


def flag(**changes: Any) -> bytes:
    return json.dumps({**FLAG, **changes}).encode()


async def test_flags_enter_and_tombstones_end_them() -> None:
    feed = ViralPartition()
    assert await feed.apply({b"7": flag(), b"8": flag(video_id=8)}, 1) == []
    assert await feed.apply({b"8": None, b"9": None}, 3) == []
    assert feed.videos.keys() == {7}
    assert (feed.offset, feed.unknown) == (3, set())


async def test_flags_that_another_app_has_written_are_passed_over_with_a_reason() -> None:
    def record(key: bytes, writer: bytes | None, value: bytes) -> SimpleNamespace:
        headers = () if writer is None else ((SOURCE_APP, writer),)
        return SimpleNamespace(key=key, value=value, headers=headers, offset=4)

    feed = ViralPartition("reels")
    ((key, reason),) = await feed.apply_records(
        [
            record(b"8", b"clips", flag(video_id=8)),
            record(b"7", b"reels", flag()),
            record(b"9", None, flag(video_id=9)),
        ]
    )
    assert key == b"8"
    assert "another app" in reason
    assert "clips" in reason
    assert feed.videos.keys() == {7, 9}, "a release before wrote no name"
    assert feed.unknown == {8}


@pytest.mark.parametrize("key", [None, b"", b"seven", b"-7", b"07", b"7.0", b"7" * 30])
@pytest.mark.parametrize("value", [flag(), None])
async def test_a_key_that_is_no_video_is_passed_over_with_a_reason(
    key: bytes | None, value: bytes | None
) -> None:
    feed = ViralPartition()
    ((found, reason),) = await feed.apply({key: value, b"7": flag()}, 1)
    assert found == key
    assert "is not a video id" in reason
    assert feed.videos.keys() == {7}
    assert feed.unknown == set()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"garbage",
        b"[]",
        b"{}",
        b"\xff",
        flag(video_id=8),
        flag(video_id="7"),
        flag(views=-1),
        flag(views=None),
        flag(viral_coefficient=None),
        flag(viral_coefficient="high"),
        flag(viral_coefficient=float("inf")),
        flag(viral_coefficient=float("nan")),
        flag(detected_at="yesterday"),
        flag(window_end=3),
    ],
)
async def test_a_value_of_another_shape_leaves_its_video_unknown_until_the_next_flag(
    value: bytes,
) -> None:
    feed = ViralPartition()
    await feed.apply({b"7": flag(), b"8": flag(video_id=8)}, 1)
    ((found, reason),) = await feed.apply({b"7": value}, 2)
    assert found == b"7"
    assert reason
    assert (set(feed.videos), feed.unknown, feed.offset) == ({8}, {7}, 2)
    await feed.apply({b"7": flag()}, 3)
    assert (set(feed.videos), feed.unknown) == ({7, 8}, set())


async def test_the_end_of_a_flag_is_known_again() -> None:
    feed = ViralPartition()
    await feed.apply({b"7": b"garbage"}, 1)
    await feed.apply({b"7": None}, 2)
    assert feed.unknown == set()


def test_unknown_fields_are_left_out() -> None:
    assert ViralVideo.decode(flag(more=[1])).encode() == ViralVideo.decode(flag()).encode()


@given(
    st.binary()
    | st.dictionaries(st.sampled_from(sorted(FLAG)), st.none() | st.integers() | st.text()).map(
        lambda d: flag(**d)
    )
)
def test_any_value_is_a_flag_or_an_error_of_its_own_kind(value: bytes) -> None:
    with suppress(CodecError):
        assert ViralVideo.decode(value).video_id >= 0
