"""The load is reproducible, and each record is of the kind that the workload states."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import orjson
import pytest

from loadgen import EventChunk, EventKind, Workload, crc32_partitions
from loadgen.mixing import MAX_DISTANCE_EVENTS
from models.event import EVENT_TYPES, MAX_VALUE_BYTES, Rejected, decode
from models.partitioner import partition_of
from models.timestamps import from_iso

if TYPE_CHECKING:
    from collections.abc import Callable


START_MS = 1_763_000_000_000
HOUR_MS = 3_600_000
DISORDER_MS = 5_000
ROUGH = {"invalid": 0.05, "duplicates": 0.04, "late": 0.03}


def workload(**options: float) -> Workload:
    return Workload(**{"start_ms": START_MS, **options})  # type: ignore[arg-type]


def same(one: EventChunk, other: EventChunk) -> bool:
    return (one.keys, one.values) == (other.keys, other.values)


def kinds_of(chunk: EventChunk) -> list[EventKind]:
    return [EventKind(kind) for kind in chunk.kinds]


@pytest.fixture(scope="module")
def rough() -> EventChunk:
    """Return many records of all kinds."""
    return workload(**ROUGH, viral=3).chunk(60_000)


class TestReproducibility:
    def test_equal_arguments_give_equal_bytes(self) -> None:
        options = {**ROUGH, "viral": 2, "seed": 5}
        assert same(workload(**options).chunk(20_000), workload(**options).chunk(20_000))

    def test_the_size_of_the_chunks_changes_nothing(self) -> None:
        whole = workload(**ROUGH).chunk(40_000)
        pieces = workload(**ROUGH)
        sizes = [1, 0, 7, 32_768, 5_000, 999, 1_225]
        chunks = [pieces.chunk(size) for size in sizes]
        assert [len(chunk) for chunk in chunks] == sizes
        assert [key for chunk in chunks for key in chunk.keys] == whole.keys
        assert [value for chunk in chunks for value in chunk.values] == whole.values
        assert [kind for chunk in chunks for kind in chunk.kinds] == whole.kinds.tolist()
        assert [user for chunk in chunks for user in chunk.users] == whole.users.tolist()

    @pytest.mark.parametrize(
        "other",
        [
            {"seed": 2},
            {"users": 99_999},
            {"start_ms": START_MS + 1},
            {"late": 0.01},
            {"max_events_per_ms": 9.0},
        ],
    )
    def test_other_arguments_give_other_event_ids(self, other: dict[str, float]) -> None:
        """The events of a second run are not taken for duplicates of the first."""
        none: dict[str, float] = {}
        ids = [
            {orjson.loads(value)["event_id"] for value in workload(**options).chunk(500).values}
            for options in (none, other)
        ]
        assert not ids[0] & ids[1]

    def test_a_limit_far_ahead_changes_nothing(self) -> None:
        limit_ms = START_MS + HOUR_MS
        assert same(workload().chunk(9_000, limit_ms), workload().chunk(9_000))


class TestFractions:
    @pytest.mark.parametrize(
        ("name", "chosen"),
        [
            ("invalid", lambda kind: kind >= EventKind.MALFORMED_JSON),
            ("duplicates", lambda kind: kind is EventKind.DUPLICATE),
            ("late", lambda kind: kind is EventKind.LATE),
        ],
    )
    def test_the_fractions_asked_for_are_met(
        self, rough: EventChunk, name: str, chosen: Callable[[EventKind], bool]
    ) -> None:
        share = sum(map(chosen, kinds_of(rough))) / len(rough)
        assert share == pytest.approx(ROUGH[name], rel=0.1)

    def test_every_kind_of_record_occurs(self, rough: EventChunk) -> None:
        assert set(kinds_of(rough)) == set(EventKind)

    def test_large_records_are_rare(self, rough: EventChunk) -> None:
        assert 1 <= kinds_of(rough).count(EventKind.TOO_LARGE) <= len(rough) / 15_000

    def test_nothing_is_spoilt_unless_asked_for(self) -> None:
        assert all(kind.counts for kind in kinds_of(workload().chunk(10_000)))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"users": 0},
            {"videos": 0},
            {"viral": 20_000},
            {"viral": -1},
            {"invalid": -0.1},
            {"invalid": 0.5, "late": 0.5},
            {"ms_per_event": 0.0},
            {"ms_per_event": float("nan")},
            {"max_events_per_ms": 0.0},
            {"max_events_per_ms": float("nan")},
        ],
    )
    def test_what_cannot_be_is_refused(self, wrong: dict[str, float]) -> None:
        with pytest.raises(ValueError, match=r"\w"):
            workload(**wrong)


class TestTruth:
    """The program itself finds the same kinds."""

    def test_events_that_count_are_valid_and_of_their_type(self, rough: EventChunk) -> None:
        for kind, key, value in zip(kinds_of(rough), rough.keys, rough.values, strict=True):
            if kind.counts:
                dropped: list[str] = []
                event = decode(value, dropped)
                assert not isinstance(event, Rejected)
                assert event.event_type == kind.label
                assert key == b"%d" % event.user_id
                assert not dropped
                assert orjson.loads(value)["event_id"] == event.event_id

    def test_rejects_are_rejected_for_their_reason(self, rough: EventChunk) -> None:
        at_once = [kind for kind in EventKind if kind >= EventKind.MALFORMED_JSON]
        at_once.remove(EventKind.FUTURE_TIMESTAMP)
        for kind, value in zip(kinds_of(rough), rough.values, strict=True):
            if kind in at_once:
                found = decode(value)
                assert isinstance(found, Rejected), value[:300]
                assert found.reason == kind.reason, value[:300]

    def test_large_records_are_larger_than_allowed_and_nothing_else_is(
        self, rough: EventChunk
    ) -> None:
        for kind, value in zip(kinds_of(rough), rough.values, strict=True):
            assert (len(value) > MAX_VALUE_BYTES) is (kind is EventKind.TOO_LARGE)

    def test_types_are_named_as_in_the_contract(self) -> None:
        assert tuple(kind.label for kind in EventKind if kind.counts) == EVENT_TYPES

    def test_only_views_have_a_duration(self, rough: EventChunk) -> None:
        for kind, value in zip(kinds_of(rough), rough.values, strict=True):
            if kind.counts:
                has_duration = "view_duration_ms" in orjson.loads(value)["metadata"]
                assert has_duration is (kind is EventKind.VIDEO_VIEW)

    def test_event_ids_are_unique_but_for_duplicates(self, rough: EventChunk) -> None:
        ids = Counter(
            orjson.loads(value)["event_id"]
            for kind, value in zip(kinds_of(rough), rough.values, strict=True)
            if kind.counts or kind is EventKind.LATE
        )
        assert set(ids.values()) == {1}


class TestDuplicates:
    def test_a_duplicate_repeats_one_of_the_last_events_that_counted(
        self, rough: EventChunk
    ) -> None:
        seen: list[tuple[bytes, bytes]] = []
        records = zip(rough.keys, rough.values, strict=True)
        for kind, record in zip(kinds_of(rough), records, strict=True):
            if kind.counts:
                seen.append(record)
            elif kind is EventKind.DUPLICATE:
                assert record in seen[-MAX_DISTANCE_EVENTS:]

    def test_at_a_low_rate_it_is_minutes_later_at_most(self) -> None:
        second_ms = 1000.0
        chunk = workload(duplicates=0.3, ms_per_event=second_ms).chunk(5_000)
        originals: dict[bytes, int] = {}
        for index, (kind, value) in enumerate(zip(kinds_of(chunk), chunk.values, strict=True)):
            if kind is EventKind.DUPLICATE:
                assert index - originals[value] < 10 * 60
            else:
                originals[value] = index


class TestTime:
    """Record i is due at start + i * ms_per_event; its event is slightly older."""

    def test_events_keep_to_event_time_with_some_disorder(self, rough: EventChunk) -> None:
        times = []
        for index, kind in enumerate(kinds_of(rough)):
            if kind.counts:
                time_ms = from_iso(orjson.loads(rough.values[index])["timestamp"])
                assert 0 <= START_MS + index // 2 - time_ms <= DISORDER_MS
                times.append(time_ms)
        backwards = np.mean(np.diff(times) < 0)
        assert 0.1 < backwards < 0.9

    def test_the_first_event_is_at_the_start_and_only_late_ones_are_before(
        self, rough: EventChunk
    ) -> None:
        times = [
            from_iso(orjson.loads(value)["timestamp"])
            for kind, value in zip(kinds_of(rough), rough.values, strict=True)
            if kind.counts
        ]
        assert times[0] == min(times) == START_MS

    def test_late_events_are_25_to_48_hours_old(self, rough: EventChunk) -> None:
        for index, kind in enumerate(kinds_of(rough)):
            if kind is EventKind.LATE:
                time_ms = from_iso(orjson.loads(rough.values[index])["timestamp"])
                assert 25 * HOUR_MS <= START_MS + index // 2 - time_ms <= 48 * HOUR_MS

    def test_late_events_come_after_others(self, rough: EventChunk) -> None:
        """No event can be late in a partition that has seen none before."""
        assert EventKind.LATE not in rough.kinds[:2_000]

    def test_no_event_is_later_than_the_limit(self) -> None:
        chunk = workload(**ROUGH, ms_per_event=1000.0).chunk(10_000, START_MS + 60_000)
        latest = max(
            orjson.loads(value)["timestamp"]
            for kind, value in zip(kinds_of(chunk), chunk.values, strict=True)
            if kind.counts
        )
        assert START_MS + 50_000 < from_iso(latest) <= START_MS + 60_000


class TestPartitions:
    def test_records_belong_where_kafkas_partitioner_puts_their_keys(
        self, rough: EventChunk
    ) -> None:
        wanted = [partition_of(int(key), 12) for key in rough.keys[:5_000]]
        assert rough.partitions(12)[:5_000].tolist() == wanted

    def test_another_partitioner_can_be_used(self, rough: EventChunk) -> None:
        wanted = [zlib.crc32(key) % 12 for key in rough.keys]
        assert rough.partitions(12, crc32_partitions).tolist() == wanted
        assert rough.partitions(12).tolist() != wanted
