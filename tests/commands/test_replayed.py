"""The replayed dead letters are recorded exactly, whatever the order of the requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditing import AuditError
from auditing.replayed import Done

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


def test_too_many_single_ones_are_refused_with_advice() -> None:
    done = Done().with_stretches((offset, offset + 1) for offset in range(1000, 9000, 2))
    with pytest.raises(AuditError, match="replay all of them once"):
        _ = done.metadata


def test_metadata_of_others_is_not_taken_for_ours() -> None:
    assert Done.read(7, "1-2") == Done(7)
