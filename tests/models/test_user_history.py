"""Promise: after any history of a user, the packed value equals a plain list of events."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.counters import USER
from models.dedup import size_of
from models.user import UserWindows
from models.windows import Slices
from tests.counted import of_user
from tests.models.one_value import apply_to_value
from tests.models.plain_user import PlainUser

if TYPE_CHECKING:
    from random import Random

    from models.counters import UserCounts

    #: Kind, time, watched, id and stream time of each event.
    History = list[tuple[str, int, int, int, int]]


MINUTE, HOUR = 60_000, 3_600_000
NOON = 1_736_942_400_000  # 2025-01-15T12:00:00Z
CLOCK_TURNS = 405 * 2**32
"""A time, in 2025, at which the ids' clock of 32 bits goes from its maximum to 0."""

SMALL = UserWindows(Slices(HOUR, 15 * MINUTE), 20 * MINUTE)
KINDS = st.sampled_from(["video_view", "like", "comment", "share", "save", "follow"])


def apply(value: bytes | None, *event: Any) -> bytes | None:
    return apply_to_value(SMALL, value, *event)


def counts(value: bytes | None, at: int) -> tuple[int, int, int]:
    metrics = SMALL.metrics(value, at)
    return metrics.views, metrics.likes, metrics.watch_ms


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw (kind, time, watched, id, stream time): out of order, with pauses and repeated ids."""
    windows = SMALL
    stream_time = draw(st.sampled_from([0, NOON, CLOCK_TURNS - 30 * MINUTE]))
    history = []
    for _ in range(draw(st.integers(1, 40))):
        pause = draw(
            st.integers(0, 5 * MINUTE)
            | st.sampled_from([0, 20 * MINUTE, 20 * MINUTE + 1, HOUR, 3 * HOUR, 2**32, 2**32 + 5])
        )
        stream_time += pause
        oldest = max(windows.slices.kept_from(stream_time) * windows.slices.step, 0)
        t = draw(st.just(stream_time) | st.integers(oldest, stream_time))
        watched = draw(st.integers(0, 60_000) | st.just(2**53))
        history.append((draw(KINDS), t, watched, draw(st.integers(0, 6)), stream_time))
    return history


@given(histories())
@settings(max_examples=100, deadline=None)
@example([("like", NOON, 0, 1, NOON), ("like", NOON, 0, 1, NOON + 20 * MINUTE)])
def test_metrics_and_duplicates_are_those_of_all_events_added_up(history: History) -> None:
    value = None
    plain = PlainUser(HOUR, 15 * MINUTE, 20 * MINUTE)
    for kind, t, watched, event_id, stream_time in history:
        after = apply(value, kind, t, watched, event_id, stream_time)
        assert (after is not None) == plain.apply(kind, t, watched, event_id, stream_time)
        value = after or value
        assert counts(value, stream_time) == plain.metrics(stream_time)
        assert counts(value, stream_time + 20 * MINUTE) == plain.metrics(stream_time + 20 * MINUTE)


@given(histories(), st.integers(0, 4 * HOUR))
@settings(max_examples=60, deadline=None)
def test_a_value_is_expired_just_when_nothing_of_it_counts(history: History, later: int) -> None:
    value = None
    for kind, t, watched, event_id, stream_time in history:
        value = apply(value, kind, t, watched, event_id, stream_time) or value
    now = history[-1][-1] + later
    plain = PlainUser(HOUR, 15 * MINUTE, 20 * MINUTE)
    for event in history:
        plain.apply(*event)
    open_from = SMALL.slices.kept_from(now)
    alive = any(
        SMALL.slices.pane_of(one.t) >= open_from or now - one.stream_time <= 20 * MINUTE
        for one in plain.applied
    )
    assert value is not None
    assert SMALL.is_expired(value, now) == (not alive)


@given(histories())
@settings(max_examples=60, deadline=None)
def test_deleting_an_expired_value_changes_no_later_verdict(history: History) -> None:
    kept = swept = None
    for kind, t, watched, event_id, stream_time in history:
        if swept is not None and SMALL.is_expired(swept, stream_time):
            swept = None
        after_kept = apply(kept, kind, t, watched, event_id, stream_time)
        after_swept = apply(swept, kind, t, watched, event_id, stream_time)
        assert after_kept == after_swept
        kept, swept = after_kept or kept, after_swept or swept


@given(
    st.lists(st.tuples(KINDS, st.integers(0, HOUR - 1), st.integers(0, 60_000)), max_size=30),
    st.randoms(),
)
def test_the_order_of_events_within_the_window_changes_no_metric(
    events: list[tuple[str, int, int]], random: Random
) -> None:
    def after(
        order: list[tuple[int, tuple[str, int, int]]],
    ) -> tuple[tuple[int, int, int], list[UserCounts]]:
        rows: dict[bytes, bytes | None] = {}
        for event_id, (kind, t, watched) in order:
            assert SMALL.apply(rows, b"1", of_user(kind, watched), t, event_id, HOUR - 1)
        value = rows.get(b"1")
        return counts(value, HOUR - 1), SMALL.series(value, HOUR - 1)

    numbered = list(enumerate(events))
    shuffled = list(numbered)
    random.shuffle(shuffled)
    assert after(shuffled) == after(numbered)


@given(histories())
@settings(max_examples=60, deadline=None)
def test_what_is_stored_are_sorted_steps_of_the_window_and_ids_within_the_horizon(
    history: History,
) -> None:
    value = None
    for kind, t, watched, event_id, stream_time in history:
        after = apply(value, kind, t, watched, event_id, stream_time)
        if after is None:
            continue
        value = after
        version, blocks, _, seen = value[:4]
        rows = value[size_of(value) :]
        panes = [row[0] for row in USER.rows.items(rows)]
        times = [row[1] for row in struct.iter_unpack("<QI", value[4 : 4 + 12 * seen])]
        assert (version, blocks) == (USER.version, 0)
        assert panes == sorted(set(panes))
        assert panes[0] >= SMALL.slices.kept_from(stream_time)
        assert all((stream_time - time) % 2**32 <= 20 * MINUTE for time in times)


@given(histories(), st.sampled_from([None, 15 * MINUTE, 30 * MINUTE]), st.integers(0, HOUR))
@settings(max_examples=60, deadline=None)
def test_the_sums_of_a_series_are_the_metrics_of_its_window(
    history: History, size: int | None, later: int
) -> None:
    value = None
    for kind, t, watched, event_id, stream_time in history:
        value = apply(value, kind, t, watched, event_id, stream_time) or value
    at = history[-1][-1] + later
    metrics = SMALL.metrics(value, at, size)
    series = SMALL.series(value, at, size)
    assert sum(pane.views for pane in series) == metrics.views
    assert sum(pane.likes for pane in series) == metrics.likes
    assert sum(pane.watch_ms for pane in series) == metrics.watch_ms
    starts = [pane.start_ms for pane in series]
    assert starts == sorted(set(starts))
    assert all(metrics.start_ms <= start < metrics.end_ms for start in starts)
    assert all(start % SMALL.slices.step == 0 for start in starts)
