"""Promises that the compiled form of a chunk gives the plain form's answers, byte by byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from accelerator import IS_BUILT, REASON, UserBackend, layer_backend
from accelerator.records import Records
from models.chunk import Overlay
from models.counters import CREATOR, VIDEO
from models.dedup import index_key
from models.errors import CodecError
from models.user import MAX_SEEN, UserWindows
from models.windows import Slices
from tests.layers import layer_of
from tests.models.corpus import (
    EXAMPLE,
    NASTY,
    RAW_TEXTS,
    TIMES,
    example,
    raw_metadata,
    raw_value,
    value_of,
)
from tests.models.older import make_version_1, make_version_2
from tests.models.strategies import VALUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence

    from models._protocols import LookupResult
    from models.chunk import SourceRecord


MINUTE, HOUR = 60_000, 3_600_000
T = 1_736_951_400_000
FAR = 10**15
WINDOWS = UserWindows(Slices(2 * HOUR, 15 * MINUTE), HOUR)
VIDEO_STEP = 5 * MINUTE


class Record(NamedTuple):
    value: bytes | None
    timestamp: int = T


def test_the_compiled_form_is_there_where_the_tests_run() -> None:
    assert IS_BUILT, REASON


def packed(records: Iterable[Record]) -> Records:
    """Return ``records`` as in a fetch, every third with headers.

    The number of headers follows the value: 17 is written as a quote.
    """
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for number, record in enumerate(records):
        headers = [('"h', b'"}')] * 17 if number % 3 == 2 else []
        builder.append(number, record.timestamp, b"k", record.value, headers)
    data, found = bytes(builder.build()), Records()
    found.add(data, 0, len(data), 0, None)
    return found


def content(record: SourceRecord) -> tuple[bytes | None, int]:
    return record.value, record.timestamp


class Side:
    """One of the forms, and its state so far."""

    def __init__(
        self,
        accelerated: bool,
        windows: UserWindows = WINDOWS,
        records: Callable[[list[Record]], Sequence[SourceRecord]] = list,
        *,
        keeps: bool = False,
    ) -> None:
        """``keeps``: rows stay in memory, with the indexes linked to them."""
        self.backend = UserBackend.of(windows, accelerated=accelerated)
        self.memory = layer_backend(accelerated=accelerated)
        self.records = records
        self.deltas = self.backend.accumulator(VIDEO)
        self.creators = self.backend.accumulator(CREATOR)
        self.stored: dict[bytes, bytes | None] = {}
        self.stream_time: int | None = None
        self.kept = self.memory.layer() if keeps else None
        self.asked: list[bytes] = []

    def apply(
        self,
        values: Sequence[bytes | None],
        partition: int = 0,
        partitions: int = 1,
        latest: int = FAR,
        *,
        ahead: bool = True,
    ) -> list[Any]:
        """Process a chunk; not ``ahead``: no index is preloaded, each is read on request."""
        chunk = self.backend.chunk(
            self.records([Record(value, T + at) for at, value in enumerate(values)]),
            partition,
            partitions,
            latest,
        )
        loaded = self.find(chunk.keys)
        known_time = self.stream_time if ahead else None
        self.asked = list(chunk.indexes(self.backend.windows, loaded, known_time))
        indexes = self.find(self.asked)
        dirty = self.memory.layer()
        rows = Overlay(dirty, loaded, indexes, self.stored.get)
        outcome = chunk.apply(
            *(self.backend.windows, rows, self.stream_time, self.deltas, VIDEO_STEP),
            self.creators,
        )
        self.stored |= dict(dirty.items())
        if self.kept is not None:
            self.kept.update(dirty)
        self.stream_time = outcome.stream_time
        sorted_out = [
            [(content(record), *rest) for record, *rest in part]
            for part in (chunk.misplaced, chunk.future, chunk.rejected, outcome.late)
        ]
        return [
            chunk.sent.tolist(),
            list(chunk.keys),
            *sorted_out,
            chunk.dropped,
            outcome._replace(late=[]),
            list(self.stored.items()),
            self.deltas.records(0, 0, 3, heartbeat=False),
            self.creators.records(0, 0, 3, heartbeat=False),
        ]

    def find(self, keys: Sequence[bytes]) -> LookupResult:
        rows = self.kept
        if rows is None:
            rows = layer_of(self.memory, self.stored.items())
        found = self.memory.find([rows], keys)
        found.fill([None] * len(found.missing))
        return found


def both(
    *chunks: Sequence[bytes | None], windows: UserWindows = WINDOWS, **options: Any
) -> list[Any]:
    """Process the chunks in both forms, also from fetched bytes; return the plain answer."""
    plain = Side(accelerated=False, windows=windows)
    compiled = [
        Side(True, windows),
        Side(True, windows, packed),
        Side(True, windows, keeps=True),
    ]
    for values in chunks:
        expected = plain.apply(values, **options)
        for side in compiled:
            assert side.apply(values, **options) == expected
    return expected


class TestWhatIsAnEvent:
    @pytest.mark.parametrize("value", [*NASTY, None, b""])
    def test_of_values_that_no_producer_should_send(self, value: bytes | None) -> None:
        both([value])

    @pytest.mark.parametrize("field", [*EXAMPLE, "extra"])
    def test_of_every_field_with_any_value(self, field: str) -> None:
        for text in RAW_TEXTS:
            both([raw_value(field, text)])

    @pytest.mark.parametrize("field", [*EXAMPLE["metadata"], "extra"])
    def test_of_every_field_of_the_metadata_with_any_value(self, field: str) -> None:
        for text in RAW_TEXTS:
            both([raw_metadata(field, text)])

    @pytest.mark.parametrize("time", TIMES)
    def test_of_times_in_any_form(self, time: str) -> None:
        both([value_of(timestamp=time)])

    @pytest.mark.parametrize("field", EXAMPLE)
    def test_of_missing_and_repeated_fields(self, field: str) -> None:
        text = json.dumps({field: EXAMPLE[field]})
        both([value_of(**{field: ...})])
        both([value_of()[:-1] + b", " + text.encode()[1:]])

    @given(st.datetimes().map(lambda time: time.isoformat() + "Z"))
    def test_of_any_time(self, time: str) -> None:
        both([value_of(timestamp=time)])

    @given(VALUES)
    @settings(max_examples=1500)
    def test_of_anything(self, value: bytes) -> None:
        both([value])

    @given(st.integers(0, 300), st.binary(max_size=2))
    def test_of_values_that_are_cut_off(self, size: int, tail: bytes) -> None:
        value = value_of()
        both([value[:size] + tail])

    def test_of_an_event_of_the_future(self) -> None:
        _, _, _, future, *_ = both([value_of()], latest=T)
        assert len(future) == 1


class TestWhoseItIs:
    @given(st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 10**6), max_size=30))
    def test_events_of_other_partitions_are_sorted_out(self, user_ids: list[int]) -> None:
        both([value_of(user_id=user_id) for user_id in user_ids], partition=1, partitions=3)


EVENTS: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    event_id=st.integers(0, 30).map(str),
    event_type=st.sampled_from(["video_view", "like", "comment", "share", "save", "follow"]),
    user_id=st.integers(0, 3),
    video_id=st.integers(0, 3),
    creator_id=st.none() | st.integers(-1, 3) | st.integers(2**63 - 2, 2**63) | st.just("1"),
    at=st.integers(0, 20 * MINUTE) | st.integers(0, 5 * HOUR),
    metadata=st.fixed_dictionaries({"view_duration_ms": st.integers(0, 2**53)}),
)


def values_of(events: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    for event in events:
        at = T + event.pop("at")
        seconds, ms = divmod(at, 1000)
        day, second = divmod(seconds, 86_400)
        assert day == T // 86_400_000
        time = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{ms:03}"
        yield json.dumps(example(**event, timestamp=f"2025-01-15T{time}Z")).encode()


class TestWhatBecomesOfAUser:
    @given(st.lists(st.lists(EVENTS, max_size=12), max_size=6))
    @settings(max_examples=400)
    def test_of_any_history(self, chunks: list[list[dict[str, Any]]]) -> None:
        both(*(list(values_of(chunk)) for chunk in chunks), [])

    @pytest.mark.parametrize("more", [0, 1, 2])
    def test_with_as_many_ids_as_are_remembered(self, more: int) -> None:
        events = [
            {"event_id": str(number), "user_id": 1, "at": number}
            for number in range(MAX_SEEN + more)
        ]
        again = [{"event_id": "0", "user_id": 1, "at": MAX_SEEN + 5}]
        # If there are more ids than can be remembered, the oldest are forgotten together.
        outcome = both(list(values_of(events)), list(values_of(again)))[7]
        assert outcome.applied == (1 if more else 0)

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 90), st.sampled_from([0, 0, 0, MINUTE, HOUR, HOUR + 1, -20 * MINUTE])
            ),
            min_size=40,
            max_size=300,
        ),
        st.booleans(),
    )
    @settings(max_examples=150, deadline=None)
    def test_of_a_user_with_many_ids(self, steps: list[tuple[int, int]], ahead: bool) -> None:
        events, at = [], 0
        for number, pause in steps:
            at = max(0, at + pause)
            if at > 9 * HOUR:
                break
            events.append({"event_id": str(number), "user_id": 1, "at": at})
        values = list(values_of(events))
        both(values[:50], values[50:51], values[51:90], values[90:], ahead=ahead)

    @pytest.mark.parametrize("count", [1, 16, 17, 40, 300])
    @pytest.mark.parametrize("make_older", [make_version_1, make_version_2])
    def test_of_a_value_of_a_version_before(
        self, make_older: Callable[[MutableMapping[bytes, bytes | None], bytes], None], count: int
    ) -> None:
        sides = Side(accelerated=False), Side(accelerated=True)
        events = [{"event_id": str(n), "user_id": 1, "at": n} for n in range(count + 40)]
        values = list(values_of(events))
        answers = []
        for side in sides:
            side.apply(values[:count])
            make_older(side.stored, b"1")
            answers.append([side.apply(values[count // 2 : count + 10]), side.apply(values)])
        assert answers[0] == answers[1]

    @pytest.mark.parametrize("ahead", [True, False])
    def test_with_an_index_that_was_swept(self, ahead: bool) -> None:
        numbers = [{"event_id": str(n), "user_id": 1, "at": n} for n in range(42)]
        values = list(values_of(numbers))
        answers = []
        for accelerated in (False, True):
            side = Side(accelerated=accelerated)
            side.apply(values[:40])
            side.stored[index_key(b"1")] = None
            answers.append([side.apply(values[40:41], ahead=ahead), side.apply(values)])
        assert answers[0] == answers[1]

    @pytest.mark.parametrize("row", [b"\x07" + bytes(200), b"\x83" + bytes(8)])
    @pytest.mark.parametrize("ahead", [True, False])
    def test_with_an_index_that_is_not_theirs(self, row: bytes, ahead: bool) -> None:
        numbers = [{"event_id": str(n), "user_id": 1, "at": n} for n in range(41)]
        values = list(values_of(numbers))
        for accelerated in (False, True):
            side = Side(accelerated=accelerated)
            side.apply(values[:40])
            side.stored[index_key(b"1")] = row
            with pytest.raises(CodecError, match="event ids 1:i"):
                side.apply(values[40:], ahead=ahead)

    def test_an_index_is_at_hand_with_its_user_s_row_in_memory(self) -> None:
        numbers = [{"event_id": str(n), "user_id": 1, "at": n} for n in range(60)]
        values = list(values_of(numbers))
        for keeps, asked in (True, []), (False, [b"1:i", b"1:i"]):
            side = Side(accelerated=True, keeps=keeps)
            side.apply(values[:40])
            side.apply(values[40:42])
            assert side.asked == asked
        side = Side(accelerated=True, keeps=True)
        for chunk, blocks in (values[:17], 1), (values[17:34], 2), (values[34:40], 2):
            side.apply(chunk)
            index = side.stored[index_key(b"1")]
            assert index is not None
            assert len(index) == 9 + 36 * blocks
            assert side.memory.linked_bytes(side.kept) == len(index)
        assert side.kept is not None
        side.kept[b"1"] = None
        assert side.memory.linked_bytes(side.kept) == 0

    def test_an_index_stays_at_hand_when_the_plain_form_has_seen_to_an_event(self) -> None:
        numbers = [{"event_id": str(n), "user_id": 1, "at": 20 * MINUTE + n} for n in range(60)]
        values = list(values_of(numbers))
        # One of an older pane, and a sealed one again.
        rare = list(values_of([{"event_id": "old", "user_id": 1, "at": 0}])) + values[:1]
        for first in (values[:40], [*values[:40], *rare]):
            side = Side(accelerated=True, keeps=True)
            side.apply(first)
            side.apply([*rare, values[40]])
            assert side.asked == []
            index = side.stored[index_key(b"1")]
            assert index is not None
            assert side.memory.linked_bytes(side.kept) == len(index)

    def test_with_counters_that_are_full(self) -> None:
        value = list(values_of([{"event_id": "1", "at": 0, "user_id": 1}]))
        sides = Side(accelerated=False), Side(accelerated=True)
        for side in sides:
            side.apply(value)
            stored = side.stored[b"1"]
            assert stored is not None
            side.stored[b"1"] = stored[:-16] + b"\xff" * 16
            side.apply(list(values_of([{"event_id": "2", "at": 1, "user_id": 1}])))
        assert sides[0].stored == sides[1].stored

    def test_with_a_value_of_an_unknown_version(self) -> None:
        for accelerated in (False, True):
            side = Side(accelerated=accelerated)
            side.stored[b"1"] = b"\x07" + bytes(40)
            with pytest.raises(ValueError, match="unknown version 7"):
                side.apply(list(values_of([{"event_id": "1", "at": 0, "user_id": 1}])))
