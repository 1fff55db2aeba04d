"""Promises that both forms gather, process and look up deltas alike."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelerator import PaneBackend, UserBackend, layer_backend
from models.counters import CREATOR, VIDEO
from models.deltas import BEGINS, MAX_ROWS_PER_RECORD, pack_deltas, unpack_deltas
from models.errors import CodecError
from models.pane_windows import PaneWindows
from models.partitioner import partition_of
from models.user import UserWindows
from models.video import EMPTY, Verdict, VideoWindows
from models.viral import ViralRule
from models.windows import Slices
from tests.counted import of_video

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models._protocols import DeltaAccumulator


SLICES = Slices(4000, 1000)
WINDOWS = VideoWindows(SLICES)
FORMS = [False, True]

#: Small numbers collide; large ones reach the limits of their fields.
U32 = st.integers(0, 3) | st.integers(2**32 - 3, 2**32 - 1)
U64 = st.integers(0, 3) | st.integers(2**64 - 3, 2**64 - 1)
COUNTS = [U32 if counter.code == "I" else U64 for counter in VIDEO.counters.values()]
ROWS = st.tuples(st.integers(0, 4) | st.integers(0, 2**64 - 1), st.integers(0, 9), *COUNTS)
RECORDS = st.builds(
    pack_deltas, st.integers(0, 7), st.integers(0, 9999), st.lists(ROWS, max_size=8)
)


#: Views that may make a video viral.
ENOUGH = 3
RULE = ViralRule(1.5, ENOUGH)


class Side:
    """One of the two forms, and its state so far."""

    def __init__(self, accelerated: bool) -> None:
        self.backend = PaneBackend.of_videos(WINDOWS, accelerated=accelerated)
        self.memory = layer_backend(accelerated=accelerated)
        self.stored: dict[bytes, bytes | None] = {}
        self.now = 0

    def apply(
        self, values: Sequence[bytes | None]
    ) -> tuple[int, list[bytes], set[int], list[tuple[bytes, bytes | None]]]:
        chunk = self.backend.chunk(values)
        self.now = max(self.now, chunk.latest)
        loaded = self.memory.find([self.memory.layer()], chunk.keys)
        loaded.fill([self.stored.get(key) for key in loaded.missing])
        dirty = self.memory.layer()
        reached = chunk.apply(self.backend.windows, loaded, dirty, self.now, RULE)
        changes = dict(dirty.items())
        self.stored |= changes
        return chunk.latest, list(chunk.keys), reached, list(changes.items())


@given(st.lists(st.lists(RECORDS, max_size=3), max_size=6))
@settings(max_examples=400)
def test_any_history_of_deltas_is_processed_the_same(batches: list[list[bytes]]) -> None:
    plain, compiled = Side(accelerated=False), Side(accelerated=True)
    for values in batches:
        assert compiled.apply(values) == plain.apply(values)


@given(st.lists(st.lists(RECORDS, max_size=3), max_size=6))
def test_whoever_has_views_enough_after_a_change_is_told(batches: list[list[bytes]]) -> None:
    side = Side(accelerated=True)
    for values in batches:
        _, keys, reached, _ = side.apply(values)
        views = {key: WINDOWS.rolling(side.stored.get(key), side.now).views for key in keys}
        assert {int(key) for key in keys if views[key] >= ENOUGH} <= reached


@given(
    st.lists(RECORDS, max_size=6),
    st.integers(0, 12_000),
    st.sampled_from([0.0, 0.3, 1.0, 1.1, 1.5, 1e12]),
    st.integers(0, 4) | st.integers(2**32 - 3, 2**33),
)
@settings(max_examples=400)
def test_videos_are_judged_the_same(
    records: list[bytes], now: int, coefficient: float, min_views: int
) -> None:
    side, rule = Side(accelerated=True), ViralRule(coefficient, min_views)
    side.apply(records)
    keys = [*side.stored, b"unknown"]
    counts = [WINDOWS.rolling(side.stored.get(key), now) for key in keys]
    expected = [
        Verdict.VIRAL
        if rule.is_viral(each)
        else Verdict.ENOUGH_VIEWS
        if each.views >= min_views
        else Verdict.FEW_VIEWS
        for each in counts
    ]
    for accelerated in FORMS:
        form = layer_backend(accelerated=accelerated)
        values = form.find([form.layer()], keys)
        values.fill([side.stored.get(key) for key in values.missing])
        windows = PaneBackend.of_videos(WINDOWS, accelerated=accelerated).windows
        assert windows.judge(values, now, rule) == expected


@pytest.mark.parametrize("accelerated", FORMS)
def test_a_video_of_an_unknown_version_is_not_judged(accelerated: bool) -> None:
    form = layer_backend(accelerated=accelerated)
    values = form.find([], [b"1"])
    values.fill([b"\x07" + EMPTY[1:]])
    with pytest.raises(CodecError, match="unknown version 7"):
        PaneBackend.of_videos(WINDOWS, accelerated=accelerated).windows.judge(
            values, 0, ViralRule(1.5, 0)
        )


@pytest.mark.parametrize("accelerated", FORMS)
@pytest.mark.parametrize("value", [None, b"", b"\x01", bytes(16), pack_deltas(0, 0, [])[:-1]])
def test_what_is_no_delta_record_is_refused(accelerated: bool, value: bytes | None) -> None:
    with pytest.raises(CodecError):
        PaneBackend.of_videos(WINDOWS, accelerated=accelerated).chunk(
            [pack_deltas(0, 0, []), value]
        )


@pytest.mark.parametrize("accelerated", FORMS)
def test_a_video_with_a_value_of_an_unknown_version_is_refused(accelerated: bool) -> None:
    side = Side(accelerated)
    side.stored[b"1"] = b"\x07" + EMPTY[1:]
    with pytest.raises(CodecError, match="unknown version 7"):
        side.apply([pack_deltas(0, 0, [(1, 0, *of_video(1))])])


def gathered(accelerated: bool, added: Iterable[tuple[int, int, int]]) -> DeltaAccumulator:
    """Return the content of an accumulator after these additions."""
    found = UserBackend.of(UserWindows(SLICES, 1000), accelerated=accelerated).accumulator(VIDEO)
    for place in added:
        video_id, pane, counter = place
        found.add(video_id, pane, of_video(*[0] * counter, 1))
    return found


#: Many videos and panes for few slots, and the limits of their fields.
ADDED = st.tuples(
    st.integers(0, 9) | st.integers(0, 2**64 - 1) | st.integers(0, 9).map(lambda n: n << 40),
    st.integers(0, 3) | st.integers(0, 2**32 - 1),
    st.integers(0, len(VIDEO.counters) - 1),
)


@given(st.lists(ADDED, max_size=400), st.integers(1, 9), st.booleans())
def test_what_was_gathered_is_told_the_same_and_all_of_it(
    added: list[tuple[int, int, int]], partitions: int, heartbeat: bool
) -> None:
    plain, compiled = (gathered(accelerated, added) for accelerated in FORMS)
    assert len(compiled) == len(plain) == len({place[:2] for place in added})
    records = plain.records(7, 123, partitions, heartbeat=heartbeat)
    assert compiled.records(7, 123, partitions, heartbeat=heartbeat) == records
    assert {target for target, _ in records} <= set(range(partitions))
    assert len(records) == partitions or not heartbeat
    found: Counter[tuple[int, int, int]] = Counter()
    for target, value in records:
        source, stream_time, rows = unpack_deltas(value)
        assert (source, stream_time) == (7, 123)
        for video_id, pane, *counts in rows:
            assert target == partition_of(video_id, partitions)
            found.update({(video_id, pane, n): count for n, count in enumerate(counts) if count})
    assert found == Counter(added)


@pytest.mark.parametrize("more", [0, 1])
def test_more_than_a_record_takes_makes_another_one(more: int) -> None:
    added = [(video, 1, 0) for video in range(MAX_ROWS_PER_RECORD + more)]
    plain, compiled = (
        gathered(accelerated, added).records(0, 0, 1, heartbeat=False) for accelerated in FORMS
    )
    assert compiled == plain
    assert len(plain) == 1 + more


@pytest.mark.parametrize("accelerated", FORMS)
@pytest.mark.parametrize("pane", [2**32, 2**64, -1])
def test_a_number_that_does_not_fit_is_not_told(accelerated: bool, pane: int) -> None:
    with pytest.raises(ValueError, match="not a delta record"):
        gathered(accelerated, [(1, pane, 0)]).records(0, 0, 1, heartbeat=False)


CREATORS = PaneWindows(CREATOR, SLICES)
CREATOR_COUNTS = [U32 if counter.code == "I" else U64 for counter in CREATOR.counters.values()]
CREATOR_ROWS = st.tuples(st.integers(0, 4), st.integers(0, 9), *CREATOR_COUNTS)
CREATOR_RECORDS = st.builds(
    lambda source, now, rows, flags: pack_deltas(source, now, rows, CREATOR, flags),
    *(st.integers(0, 7), st.integers(0, 9999), st.lists(CREATOR_ROWS, max_size=8)),
    st.sampled_from([0, 0, BEGINS]),
)


@given(st.lists(st.lists(CREATOR_RECORDS, max_size=3), max_size=6))
@settings(max_examples=300)
def test_any_history_of_creators_is_processed_the_same(batches: list[list[bytes]]) -> None:
    """Another entity, with its own counters and header, and without the viral rule."""
    sides = [PaneBackend.of(CREATORS, accelerated=accelerated) for accelerated in FORMS]
    stored: list[dict[bytes, bytes | None]] = [{} for _ in sides]
    now = 0
    for values in batches:
        found = []
        for backend, accelerated, rows in zip(sides, FORMS, stored, strict=True):
            chunk, form = backend.chunk(values), layer_backend(accelerated=accelerated)
            now = max(now, chunk.latest)
            loaded, dirty = form.find([form.layer()], chunk.keys), form.layer()
            loaded.fill([rows.get(key) for key in loaded.missing])
            assert chunk.apply(backend.windows, loaded, dirty, now) == set()
            rows |= dict(dirty.items())
            found.append((chunk.latest, chunk.complete_from, list(chunk.keys)))
        assert found[0] == found[1]
        assert list(stored[0].items()) == list(stored[1].items())


@given(st.lists(CREATOR_ROWS, max_size=50), st.integers(1, 9), st.booleans())
def test_what_was_gathered_of_creators_is_told_the_same(
    rows: list[tuple[int, ...]], partitions: int, heartbeat: bool
) -> None:
    """Counters stop at their maximum, within a commit as in a table."""
    records = []
    for accelerated in FORMS:
        made = UserBackend.of(UserWindows(SLICES, 1000), accelerated=accelerated).accumulator(
            CREATOR
        )
        for creator_id, pane, *counts in rows:
            made.add(creator_id, pane, tuple(counts))
        records.append(made.records(7, 123, partitions, heartbeat=heartbeat))
    assert records[0] == records[1]
