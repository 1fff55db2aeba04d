"""The replayed dead letters are recorded exactly, whatever the order of the requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditing import AuditError
from auditing.replayed import Done
from commands.replaying import Replay, Selection

stretches = st.tuples(st.integers(0, 60), st.integers(1, 9)).map(lambda each: (each[0], sum(each)))
steps = st.lists(st.one_of(stretches, st.integers(0, 60)))


@given(steps)
def test_what_was_replayed_is_known_however_it_was_asked_for(
    steps: list[int | tuple[int, int]],
) -> None:
    """Single offsets, ranges and prefixes add up, also after a round trip through Kafka's text."""
    done = Done()
    expected: set[int] = set()
    for step in steps:
        if isinstance(step, int):
            done, expected = done.up_to(step), expected | set(range(step))
        else:
            done, expected = done.with_stretches([step]), expected | set(range(*step))
        done = Done.read(done.position, done.metadata)
    assert {offset for offset in range(100) if offset in done} == expected
    assert done.end == max(expected, default=-1) + 1


@given(st.lists(st.tuples(st.integers(1, 9), st.sets(st.integers(0, 8))), max_size=9))
def test_what_stayed_is_left_for_a_later_run(fetches: list[tuple[int, set[int]]]) -> None:
    """Of all dead letters of a reason, fetch by fetch."""
    replay = Replay.__new__(Replay)
    replay._selection = Selection("late")
    done, at, stayed = Done(), 0, set[int]()
    for size, staying in fetches:
        here = sorted(at + offset for offset in staying if offset < size)
        done = replay._done(done, (at, at + size), [], here)
        stayed.update(here)
        at += size
    assert {offset for offset in range(at) if offset not in done} == stayed
    assert at not in done


def test_too_much_that_stayed_is_not_noted() -> None:
    replay = Replay.__new__(Replay)
    replay._selection = Selection("late")
    done = replay._done(Done(), (0, 9000), [], range(0, 9000, 2))
    assert (done.position, done.metadata) == (9000, "")


def test_too_many_single_ones_are_refused_with_advice() -> None:
    done = Done().with_stretches((offset, offset + 1) for offset in range(1000, 9000, 2))
    with pytest.raises(AuditError, match="replay all of them once"):
        _ = done.metadata


def test_metadata_of_others_is_not_taken_for_ours() -> None:
    assert Done.read(7, "1-2") == Done(7)
