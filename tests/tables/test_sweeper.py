"""Expired keys leave the table, a few at a time; other keys never do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tables.sweep import MAX_KEYS_PER_COMMIT, Sweeper

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tables.state import PartitionState


NOW = 1000


def is_expired(value: bytes, stream_time: int) -> bool:
    return int(value) < stream_time


@pytest.fixture
async def make_sweeper(
    make_state: Callable[..., PartitionState],
) -> Callable[..., Awaitable[tuple[PartitionState, Sweeper]]]:
    async def make(
        values: dict[bytes, bytes], period: float = 1.0
    ) -> tuple[PartitionState, Sweeper]:
        state = make_state()
        state.stream_time = NOW
        state.layers.dirty = dict(values)
        await commit(state)
        return state, Sweeper(state, is_expired, period)

    return make


async def commit(state: PartitionState) -> None:
    state.freeze()
    state.post_commit((state.offset or 0) + 1)
    await state.flush()


def numbered(count: int, value: bytes) -> dict[bytes, bytes]:
    return {b"%d" % n: value for n in range(count)}


async def test_expired_keys_are_deleted_and_others_stay(
    make_sweeper: Callable[..., Awaitable[tuple[PartitionState, Sweeper]]],
) -> None:
    state, sweeper = await make_sweeper({b"old": b"999", b"new": b"1000"})
    await sweeper.scan(1.0)
    assert sweeper
    sweeper.delete_found()
    await commit(state)
    assert dict(state.items()) == {b"new": b"1000"}
    assert not sweeper


async def test_a_key_that_came_to_life_again_stays(
    make_sweeper: Callable[..., Awaitable[tuple[PartitionState, Sweeper]]],
) -> None:
    state, sweeper = await make_sweeper({b"1": b"1", b"2": b"1", b"3": b"1"})
    await sweeper.scan(1.0)
    state.dirty[b"1"] = b"2000"
    await commit(state)
    state.dirty[b"2"] = b"2000"
    state.freeze()
    state.dirty[b"3"] = b"2000"
    sweeper.delete_found()
    assert dict(state.items()) == dict.fromkeys([b"1", b"2", b"3"], b"2000")


async def test_nothing_expires_before_the_first_event(
    make_sweeper: Callable[..., Awaitable[tuple[PartitionState, Sweeper]]],
) -> None:
    state, sweeper = await make_sweeper({b"1": b"1"})
    state.stream_time = None
    await sweeper.scan(1.0)
    assert not sweeper


async def test_every_key_is_looked_at_within_the_period(
    make_sweeper: Callable[..., Awaitable[tuple[PartitionState, Sweeper]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, sweeper = await make_sweeper({b"%d" % n: b"%d" % n for n in range(3000)}, period=10)
    looked_at: list[bytes] = []
    monkeypatch.setattr(sweeper, "_is_expired", lambda value, _: looked_at.append(value))
    for _ in range(10):
        await sweeper.scan(1.0)
    assert set(looked_at) == {b"%d" % n for n in range(3000)}


async def test_one_commit_deletes_a_bounded_number_of_keys(
    make_sweeper: Callable[..., Awaitable[tuple[PartitionState, Sweeper]]],
) -> None:
    state, sweeper = await make_sweeper(numbered(3 * MAX_KEYS_PER_COMMIT, b"1"))
    await sweeper.scan(1.0)
    sweeper.delete_found()
    assert len(state.dirty) == MAX_KEYS_PER_COMMIT
    assert sweeper


async def test_the_walk_begins_anew_at_its_end(
    make_sweeper: Callable[..., Awaitable[tuple[PartitionState, Sweeper]]],
) -> None:
    state, sweeper = await make_sweeper(numbered(300, b"2000"))
    for _ in range(5):
        await sweeper.scan(1.0)
    state.stream_time = 5000
    for _ in range(3):
        await sweeper.scan(1.0)
    sweeper.delete_found()
    assert len(state.dirty) == 300
