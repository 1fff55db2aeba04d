"""Fetched batches: the same records and the same position as with aiokafka's own reader."""

from __future__ import annotations

import gc
import itertools
import struct
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.control_record import ABORT_MARKER, COMMIT_MARKER
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from accelerator.records import Records
from streaming.kafka.batch_reader import BoundedRecords, RawMemoryRecords, unpack, unpacker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aiokafka.consumer.fetcher import PartitionRecords

    from streaming.kafka.records import Record


#: aiokafka's own class, which the program replaces in its fetcher.
(PartitionRecords,) = BoundedRecords.__bases__

TP = TopicPartition("events", 0)
HEADER, ATTRIBUTES, COUNT = 61, 22, 57
FORMS: dict[str, Callable[[Any], Sequence[Record]]] = {
    "one by one": unpack,
    "packed": unpacker(Records),
}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def batch_of(first: int, count: int, *, producer: int = -1, compression: int = 0) -> bytes:
    """Return the bytes of a batch with the records ``first``, ``first + 1``, ..."""
    builder = DefaultRecordBatchBuilder(
        *(2, compression, producer >= 0, producer, 0, 0),
        1 << 20,
    )
    for number in range(count):
        builder.append(number, 1000 + number, b"k", b"v%d" % (first + number), [("h", b"x")])
    return _at(bytes(builder.build()), first)


def marker_of(offset: int, producer: int, marker: Any) -> bytes:
    """Return the bytes of the control batch that ends a producer's transaction."""
    builder = DefaultRecordBatchBuilder(2, 0, 1, producer, 0, -1, 1 << 10)
    key = struct.pack(">hh", marker.version, marker.type_)
    builder.append(0, 1000, key, b"\x00" * 6, [])
    data = bytearray(_at(bytes(builder.build()), offset))
    data[ATTRIBUTES] |= 0x20  # a control batch
    return bytes(data)


def _at(data: bytes, offset: int) -> bytes:
    return struct.pack(">q", offset) + data[8:]


def fetched(
    data: bytes,
    offset: int,
    *,
    kept: Callable[[bytes], Any] = RawMemoryRecords,
    aborted: Iterable[tuple[int, int]] = (),
    isolation: int = READ_COMMITTED,
    check_crcs: bool = False,
) -> PartitionRecords:
    return PartitionRecords(
        TP, kept(data), list(aborted), offset, None, None, check_crcs, isolation
    )


def content(records: Iterable[Record]) -> list[tuple[Any, ...]]:
    return [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records]


def same(data: bytes, offset: int, **options: Any) -> list[int]:
    """Unpack in all forms, check that they equal aiokafka's, and return the offsets."""
    theirs = fetched(data, offset, kept=MemoryRecords, **options)
    expected = content(theirs)
    assert content(fetched(data, offset, **options)) == expected
    for form in FORMS.values():
        ours = fetched(data, offset, **options)
        found = form(ours)
        assert len(found) == len(expected)
        assert content(found) == expected
        assert content(found[1:3]) == expected[1:3]
        assert ours.next_fetch_offset == theirs.next_fetch_offset
    return [offset for offset, *_ in expected]


def test_all_records_of_all_batches_are_found() -> None:
    assert same(batch_of(5, 3) + batch_of(8, 2, compression=1), 5) == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("compression", range(5), ids=["none", "gzip", "snappy", "lz4", "zstd"])
def test_whatever_they_are_compressed_with(compression: int) -> None:
    data = batch_of(0, 300, compression=compression) + batch_of(300, 2, compression=compression)
    assert same(data, 0) == list(range(302))


@each_form
def test_what_is_compressed_in_an_unknown_way_is_refused(
    form: Callable[[Any], Sequence[Record]],
) -> None:
    data = bytearray(batch_of(0, 1))
    data[ATTRIBUTES] |= 5
    with pytest.raises(UnsupportedCodecError):
        form(fetched(bytes(data), 0))


def test_keys_values_and_headers_may_be_missing_and_empty() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    texts = None, b"", b"x", b"y" * 200
    headers: tuple[list[tuple[str, bytes | None]], ...] = (
        [],
        [("", None)],
        [("h", b""), ("h", b"z" * 300), ("\u00e9", b"\xff")] * 30,
    )
    for number, (key, value, some) in enumerate(itertools.product(texts, texts, headers)):
        builder.append(number, 5_000 - 100 * number, key, value, some)
    assert len(same(_at(bytes(builder.build()), 1 << 40), 0)) == 48


def test_the_brokers_time_counts_where_the_topic_says_so() -> None:
    data = bytearray(batch_of(0, 3))
    data[ATTRIBUTES] |= 0x08
    data[35:43] = struct.pack(">q", 77_000)
    assert same(bytes(data), 0) == [0, 1, 2]
    assert {record.timestamp for record in unpack(fetched(bytes(data), 0))} == {77_000}


def test_a_batch_that_came_in_part_is_left_for_the_next_fetch() -> None:
    whole = batch_of(0, 3)
    assert same(whole + batch_of(3, 3)[:-1], 0) == [0, 1, 2]


def test_messages_as_they_were_before_batches_are_read() -> None:
    builder = LegacyRecordBatchBuilder(1, 0, 1 << 20)
    for number in range(3):
        builder.append(number, 1000 + number, b"k", b"v%d" % number)
    assert same(bytes(builder.build()), 0) == [0, 1, 2]


def test_a_fetch_from_the_middle_of_a_batch_begins_there() -> None:
    assert same(batch_of(5, 3), 6) == [6, 7]


@each_form
def test_what_was_unpacked_is_freed_without_the_garbage_collector(
    form: Callable[[Any], Sequence[Record]],
) -> None:
    gc.disable()
    try:
        one = fetched(batch_of(5, 3), 5)
        freed = weakref.ref(one)
        form(one)
        del one
        assert freed() is None
    finally:
        gc.enable()


def test_what_compaction_left_out_is_passed() -> None:
    assert same(batch_of(5, 1) + batch_of(20, 1), 5) == [5, 20]


def test_records_of_aborted_transactions_and_markers_are_left_out() -> None:
    data = (
        batch_of(0, 2, producer=7)
        + batch_of(2, 2, producer=8)
        + marker_of(4, 7, ABORT_MARKER)
        + marker_of(5, 8, COMMIT_MARKER)
        + batch_of(6, 1, producer=7)
    )
    assert same(data, 0, aborted=[(7, 0)]) == [2, 3, 6]
    assert same(data, 0, aborted=[(7, 0)], isolation=READ_UNCOMMITTED) == [0, 1, 2, 3, 6]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(-1, 2), st.integers(0, 3)), max_size=8),
    st.integers(0, 10),
    st.sampled_from([READ_COMMITTED, READ_UNCOMMITTED]),
)
def test_any_log_is_read_as_aiokafka_reads_it(
    parts: list[tuple[int, int, int]], offset: int, isolation: int
) -> None:
    open_since: dict[int, int] = {}
    aborted: list[tuple[int, int]] = []
    data, at = b"", 0
    for count, producer, what in parts:
        if producer >= 0 and what and producer in open_since:
            marker = ABORT_MARKER if what == 1 else COMMIT_MARKER
            since = open_since.pop(producer)
            if what == 1:
                aborted.append((producer, since))
            data, at = data + marker_of(at, producer, marker), at + 1
        else:
            open_since.setdefault(producer, at)
            data += batch_of(at, count, producer=producer)
            at += count + what  # offsets that compaction removed
    same(data, min(offset, at), aborted=aborted, isolation=isolation)


@each_form
def test_a_damaged_batch_is_refused(form: Callable[[Any], Sequence[Record]]) -> None:
    data = bytearray(batch_of(0, 3))
    data[-3] ^= 1
    with pytest.raises(CorruptRecordException, match="events"):
        form(fetched(bytes(data), 0, check_crcs=True))


class TestPackedRecords:
    def test_slices_share_what_they_are_of(self) -> None:
        records = FORMS["packed"](fetched(batch_of(5, 9), 5))
        part = records[2:-1][1:4]
        del records
        assert [record.offset for record in part] == [8, 9, 10]
        assert part[-1].value == b"v10"
        assert len(part[5:]) == len(part[2:1]) == 0

    @pytest.mark.parametrize("place", [3, -4])
    def test_there_is_nothing_beside_them(self, place: int) -> None:
        records = FORMS["packed"](fetched(batch_of(5, 3), 5))
        with pytest.raises(IndexError):
            records[place]

    def test_a_header_whose_name_is_no_text_stops_nothing(self) -> None:
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
        builder.append(0, 1000, b"k", b"v", [("name", b"x")])
        data = bytes(builder.build()).replace(b"name", b"\xff\xfe\xfd\xfc")
        (record,) = FORMS["packed"](fetched(data, 0))
        assert record.headers == [("\ufffd" * 4, b"x")]

    def test_a_header_that_promises_more_is_refused(self) -> None:
        data = bytearray(batch_of(0, 3))
        data[COUNT : COUNT + 4] = struct.pack(">i", 1 << 30)
        with pytest.raises(CorruptRecordException, match="too short for the record count"):
            FORMS["packed"](fetched(bytes(data), 0))

    @given(
        st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), min_size=1, max_size=4),
        st.integers(0, 80),
    )
    def test_whatever_is_damaged_nothing_beyond_the_batch_is_read(
        self, changes: list[tuple[int, int]], cut: int
    ) -> None:
        data = bytearray(batch_of(0, 4))
        for place, code in changes:
            data[HEADER + place % (len(data) - HEADER)] = code
        damaged = bytes(data[: max(HEADER, len(data) - cut)])
        records = Records()
        with suppress(ValueError):
            records.add(damaged, 0, len(damaged), 0, None)
        for record in records:
            inside = [record.key or b"", record.value or b""]
            inside += [text or b"" for _, text in record.headers]
            assert all(text in damaged for text in inside)

    @given(st.binary(max_size=200), st.integers(1, 9))
    def test_nor_of_any_bytes(self, content: bytes, count: int) -> None:
        data = bytearray(batch_of(0, 1)[:HEADER])
        data[COUNT : COUNT + 4] = struct.pack(">i", count)
        records = Records()
        with suppress(ValueError):
            records.add(bytes(data) + content, 0, HEADER + len(content), 0, None)
        for record in records:
            assert (record.key or b"") in content
            assert (record.value or b"") in content
