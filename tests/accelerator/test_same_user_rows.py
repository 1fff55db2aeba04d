"""Rows of users in memory: the compiled ones become the same as the plain ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accelerator
from models.schema import EVENT_TYPES, Event, Metadata
from models.user import UserWindows
from models.windows import Slices

pytestmark = pytest.mark.skipif(not accelerator.IS_BUILT, reason=accelerator.REASON)

MINUTE = 60_000
START = 1_736_951_445_123
USERS = 0, 7, 2**63 - 1

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.sampled_from(EVENT_TYPES),
        st.integers(0, 2**53),
        st.integers(0, 60),
        # From the latest time on, or a while before it.
        st.integers(-20 * MINUTE, 2 * MINUTE) | st.sampled_from([0, 70 * MINUTE, 60 * 24 * MINUTE]),
    ),
    max_size=150,
)


@given(EVENTS, st.integers(0, 5))
@settings(max_examples=200)
def test_of_any_history_with_blocks_of_sealed_ids(events, ids_before):
    windows = UserWindows(Slices(60 * MINUTE, 15 * MINUTE), 30 * MINUTE)
    compiled = accelerator.user_rows(windows, accelerated=True)
    plain = accelerator.user_rows(windows, accelerated=False)
    now = START
    # Many ids within a short time, which is when they are sealed in blocks.
    many = [(7, "like", 0, 1000 + number, 1) for number in range(16 * ids_before)]
    for user, kind, watched, number, delay in [*many, *events]:
        t_ms = now + delay
        if windows.is_late(t_ms, now):
            continue
        now = max(now, t_ms)
        event = Event(str(number), kind, user, 1, None, metadata=Metadata(watched))
        assert compiled.apply(event, t_ms, number, now) is plain.apply(event, t_ms, number, now)
        assert compiled.get(b"%d" % user) == plain.get(b"%d" % user)
    assert compiled.get(b"5") is plain.get(b"5") is None
    assert len(compiled) == len(plain)
    for rows in (compiled, plain):
        rows.sweep(now)
    assert len(compiled) == len(plain)
    assert all(compiled.get(b"%d" % user) == plain.get(b"%d" % user) for user in USERS)
