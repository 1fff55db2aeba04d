"""A step that became coarser: values from before and after it are counted as events are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelerator import PaneBackend, ReadBackend, UserBackend, layer_backend
from models.chunk import Overlay
from models.counters import CREATOR, VIDEO
from models.deltas import pack_deltas
from models.pane_windows import PaneWindows
from models.user import UserWindows
from models.video import VideoWindows
from models.viral import ViralRule
from models.windows import Slices
from tests.integration.stream import event
from tests.models.older import make_version_1, make_version_2

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from models.entity import Entity


MINUTE, HOUR = 60_000, 3_600_000
AT = 1_736_951_445_123
UNIT = 5 * MINUTE
#: The slices that the table is built with, then a change of the step, then one of the window.
SLICES = (Slices(4 * HOUR, UNIT), Slices(4 * HOUR, 3 * UNIT), Slices(3 * HOUR, 6 * UNIT))

#: Minutes ahead of the previous event, minutes back from there, view or like.
MOVES = st.tuples(st.integers(0, 50), st.integers(0, 300), st.booleans())
HISTORIES = st.tuples(*[st.lists(MOVES, max_size=30)] * len(SLICES))

#: The types that hypothesis draws from them.
Move = tuple[int, int, bool]
History = tuple[list[Move], ...]


def window(t: int, slices: Slices) -> tuple[int, int]:
    end = t - t % slices.step + slices.step
    return end - slices.size, end


class Record:
    timestamp, offset, key, headers = AT, 0, b"5", ()

    def __init__(self, value: bytes) -> None:
        self.value = value


class Users:
    """One user's row in one of the forms, and the events that it must represent."""

    def __init__(self, accelerated: bool) -> None:
        self.form, self.accelerated = layer_backend(accelerated=accelerated), accelerated
        self.rows: dict[bytes, bytes | None] = {}
        self.events: list[tuple[int, bool]] = []
        self.now, self.number = AT, 0

    def process(self, slices: Slices, move: Move) -> None:
        ahead, back, is_view = move
        latest = self.now + ahead * MINUTE
        t, self.number = latest - back * MINUTE, self.number + 1
        kind = "video_view" if is_view else "like"
        backend = UserBackend.of(UserWindows(slices, HOUR, UNIT), accelerated=self.accelerated)
        chunk = backend.chunk([Record(event(5, 1, t, self.number, event_type=kind))], 0, 1, latest)
        loaded = self.form.find((), chunk.keys)
        loaded.fill([self.rows.get(key) for key in loaded.missing])
        dirty = self.form.layer()
        overlay = Overlay(dirty, loaded, self.form.find((), []), self.rows.get)
        outcome = chunk.apply(backend.windows, overlay, self.now, backend.accumulator(VIDEO), HOUR)
        self.rows |= dict(dirty.items())
        assert bool(outcome.late) == (t < window(self.now, slices)[0])
        if outcome.applied:
            self.events.append((t, is_view))
        assert outcome.stream_time is not None
        self.now = outcome.stream_time

    def check(self, slices: Slices) -> None:
        value, windows = self.rows.get(b"5"), UserWindows(slices, HOUR, UNIT)
        start, end = window(self.now, slices)
        inside = [each for each in self.events if start <= each[0] < end]
        views = sum(is_view for _, is_view in inside)
        expected = (start, end, views, len(inside) - views, views * 1000)
        assert windows.metrics(value, self.now)[:5] == expected
        steps: dict[int, list[int]] = {}
        for t, is_view in inside:
            counts = steps.setdefault(t - t % slices.step, [0, 0])
            counts[not is_view] += 1
        found = {
            step.start_ms: [step.views, step.likes] for step in windows.series(value, self.now)
        }
        assert found == steps
        if not value:
            return
        # As single-key reads do: numbered by the step, whatever the table's unit is.
        as_read = UserWindows(slices, HOUR)
        assert as_read.series(windows.in_steps(value), self.now) == windows.series(value, self.now)
        assert windows.is_expired(value, self.now) == as_read.is_expired(
            windows.in_steps(value), self.now
        )
        if inside:
            values = self.form.find((), [b"5"])
            values.fill([value])
            sums = ReadBackend.of(accelerated=self.accelerated).user_sums(as_read).in_units(UNIT)
            panes = slices.window_at(self.now)
            found = sums.of(values, self.now, (panes,)).rows[0]
            assert tuple(found[:2]) == expected[2:4]


@given(HISTORIES)
@settings(max_examples=200)
def test_users_are_counted_as_their_events_are_in_both_forms(
    history: History,
) -> None:
    compiled, plain = Users(accelerated=True), Users(accelerated=False)
    for slices, moves in zip(SLICES, history, strict=True):
        for side in (compiled, plain):
            side.check(slices)
        for move in moves:
            for side in (compiled, plain):
                side.process(slices, move)
                side.check(slices)
            assert compiled.rows == plain.rows


@pytest.mark.parametrize("make_older", [make_version_1, make_version_2])
def test_values_of_earlier_versions_are_merged_as_they_are_read_and_touched(
    make_older: Callable[[MutableMapping[bytes, bytes | None], bytes], None],
) -> None:
    side = Users(accelerated=True)
    for _ in range(20):
        side.process(SLICES[0], (5, 0, True))
    make_older(side.rows, b"5")
    side.rows = {key: row for key, row in side.rows.items() if row is not None}
    side.check(SLICES[1])
    side.process(SLICES[1], (5, 0, True))
    side.check(SLICES[1])


def test_steps_are_merged_as_a_value_is_touched() -> None:
    side = Users(accelerated=True)
    for _ in range(20):
        side.process(SLICES[0], (5, 0, True))
    windows = UserWindows(SLICES[2], HOUR, UNIT)
    before = side.rows[b"5"]
    side.process(SLICES[2], (5, 0, True))
    after = side.rows[b"5"]
    assert before is not None
    assert after is not None
    assert len(after) < len(before) / 2
    assert windows.metrics(side.rows[b"5"], side.now).views == 21


class Sums:
    """One key of a table that receives sums, and the events that it must represent."""

    def __init__(
        self, entity: Entity[Any], windows: Callable[[Slices], PaneWindows[Any]], accelerated: bool
    ) -> None:
        self.entity, self.windows = entity, windows
        self.form, self.accelerated = layer_backend(accelerated=accelerated), accelerated
        self.stored: dict[bytes, bytes | None] = {}
        self.events: list[int] = []
        self.now = AT

    def process(self, slices: Slices, move: Move) -> None:
        ahead, back, _ = move
        self.now += ahead * MINUTE
        t = self.now - back * MINUTE
        backend = PaneBackend.of(self.windows(slices).in_units(UNIT), accelerated=self.accelerated)
        counts = (1,) + (0,) * (len(self.entity.counters) - 1)
        rows = [(5, t // slices.step, *counts)]
        chunk = backend.chunk([pack_deltas(0, self.now, rows, self.entity)])
        loaded = self.form.find((), chunk.keys)
        loaded.fill([self.stored.get(key) for key in loaded.missing])
        dirty, rule = self.form.layer(), ViralRule(0.5, 1) if self.entity is VIDEO else None
        reached = chunk.apply(backend.windows, loaded, dirty, self.now, rule)
        self.stored |= dict(dirty.items())
        # Sums of a window that has passed no longer count, as with late events.
        if t >= window(self.now, slices)[0]:
            self.events.append(t)
            assert rule is None or reached == {5}

    def check(self, slices: Slices) -> None:
        windows, value = self.windows(slices).in_units(UNIT), self.stored.get(b"5")
        start, end = window(self.now, slices)
        inside = [t for t in self.events if start <= t < end]
        assert windows.rolling(value, self.now)[:3] == (start, end, len(inside))
        steps: dict[int, int] = {}
        for t in inside:
            steps[t - t % slices.step] = steps.get(t - t % slices.step, 0) + 1
        assert {each.start_ms: each.views for each in windows.series(value, self.now)} == steps
        if value:
            assert windows.is_expired(value, self.now) == (not inside)
            as_read = self.windows(slices).series(windows.in_steps(value), self.now)
            assert as_read == windows.series(value, self.now)
        if isinstance(windows, VideoWindows):
            self.check_video(slices, windows, value, len(inside))

    def check_video(
        self, slices: Slices, windows: VideoWindows, value: bytes | None, views: int
    ) -> None:
        begin = self.now - self.now % slices.size
        inside = [t for t in self.events if begin <= t < begin + slices.size]
        assert windows.tumbling(value, self.now).views == len(inside)
        values = self.form.find((), [b"5"])
        values.fill([value])
        backend = PaneBackend.of_videos(windows, accelerated=self.accelerated)
        verdicts = backend.windows.judge(values, self.now, ViralRule(0.5, 2))
        assert verdicts == [min(views // 2, 1)]
        if views:
            sums = ReadBackend.of(accelerated=self.accelerated).pane_sums(VideoWindows(slices))
            panes = slices.window_at(self.now), slices.tumbling_at(self.now)
            found = sums.in_units(UNIT).of(values, self.now, panes).rows[0]
            assert (found[0], found[len(found) // 2]) == (views, len(inside))


TABLES = (VIDEO, VideoWindows), (CREATOR, partial(PaneWindows, CREATOR))


@given(HISTORIES, st.sampled_from(TABLES))
@settings(max_examples=200)
def test_videos_and_creators_are_counted_as_their_events_are_in_both_forms(
    history: History, table: tuple[Entity[Any], Callable[[Slices], PaneWindows[Any]]]
) -> None:
    compiled, plain = (Sums(*table, accelerated=accelerated) for accelerated in (True, False))
    for slices, moves in zip(SLICES, history, strict=True):
        for side in (compiled, plain):
            side.check(slices)
        for move in moves:
            for side in (compiled, plain):
                side.process(slices, move)
                side.check(slices)
            assert compiled.stored == plain.stored


@given(HISTORIES, st.sampled_from([UNIT, 3 * UNIT]))
def test_a_row_in_finer_units_says_the_same(history: History, unit: int) -> None:
    """A rescale merges rows of partitions with different units."""
    side = Users(accelerated=False)
    for moves in history:
        for move in moves:
            side.process(SLICES[2], move)
    coarse = UserWindows(SLICES[2], HOUR)
    stored = side.rows.get(b"5", bytes((4, 0, 0, 0)))
    assert stored is not None
    row = UserWindows(SLICES[2], HOUR, UNIT).in_steps(stored)
    finer = coarse.in_finer_units(row, SLICES[2].step // unit)
    assert coarse.in_units(unit).series(finer, side.now) == coarse.series(row, side.now)
