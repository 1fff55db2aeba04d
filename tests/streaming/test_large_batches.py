"""Batches that are large when decompressed give the same records, in pieces."""

from __future__ import annotations

import gc
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import codec
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from accelerator.records import Records
from models.cut import CUT_BYTES, CutBytes, full_size, omitted
from models.event import MAX_VALUE_BYTES, Rejected, decode
from streaming.kafka import batch_reader as fetched_module
from streaming.kafka import pieces as pieces_module
from streaming.kafka.batch_reader import BoundedRecords, RawMemoryRecords, unpack, unpacker
from streaming.kafka.decompression import DECODERS, Decoders, open_content
from streaming.kafka.pieces import PIECE_BYTES, PIECE_RECORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    #: Key, value and headers.
    Row = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from streaming.kafka.records import Record


GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
ENCODERS = {
    GZIP: codec.gzip_encode,
    SNAPPY: codec.snappy_encode,
    LZ4: codec.lz4_encode,
    ZSTD: codec.zstd_encode,
}
FORMS: dict[str, Callable[[Any], Sequence[Record]]] = {
    "one by one": unpack,
    "packed": unpacker(Records),
    "as aiokafka does": list,
}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
each_compression = pytest.mark.parametrize("compression", ENCODERS)


def batch_of(records: Iterable[Row], first: int = 0, compression: int = ZSTD) -> bytes:
    """Return the bytes of one batch of ``records``: key, value and headers."""
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 1 << 30)
    for number, (key, value, headers) in enumerate(records):
        assert builder.append(number, 1000 + number, key, value, headers) is not None
    return struct.pack(">q", first) + bytes(builder.build())[8:]


def fetched(data: bytes, offset: int = 0) -> BoundedRecords:
    tp = TopicPartition("events", 0)
    return BoundedRecords(tp, RawMemoryRecords(data), [], offset, None, None, True, READ_COMMITTED)


def all_of(
    form: Callable[[Any], Sequence[Record]], one: BoundedRecords
) -> tuple[list[Record], int]:
    """Return all records of a fetch, and the most bytes that one part of it took."""
    found: list[Record] = []
    most = 0
    while one._records.has_next():
        found += form(one)
        most = max(most, one._records.taken)
    return found, most


def content(records: Iterable[Record]) -> list[tuple[Any, ...]]:
    return [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in records]


@contextmanager
def pieces_of(size: int, records: int) -> Iterator[None]:
    """Limit pieces to ``size`` bytes and ``records`` records."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces_module, "PIECE_BYTES", size)
        patch.setattr(pieces_module, "PIECE_RECORDS", records)
        patch.setattr(fetched_module, "PIECE_RECORDS", records)
        patch.setattr(fetched_module, "STEP_BYTES", size)
        yield


TEXTS = st.none() | st.binary(max_size=60)
HEADERS = st.lists(st.tuples(st.text(max_size=3), TEXTS), max_size=2)


@given(
    batches=st.lists(st.lists(st.tuples(TEXTS, TEXTS, HEADERS), min_size=1, max_size=12)),
    compression=st.sampled_from([0, *ENCODERS]),
    size=st.integers(400, 1500),
    records=st.integers(1, 8),
    skipped=st.integers(0, 15),
)
def test_however_small_pieces_are_they_hold_the_records_of_the_batches(
    batches: list[list[Row]], compression: int, size: int, records: int, skipped: int
) -> None:
    data = b""
    expected: list[tuple[Any, ...]] = []
    for batch in batches:
        data += batch_of(batch, len(expected), compression)
        expected += [
            (len(expected) + number, 1000 + number, *record) for number, record in enumerate(batch)
        ]
    expected = [(*each[:4], list(each[4])) for each in expected]
    # A fetch begins with the batch that contains the first offset.
    skipped = min(skipped, len(batches[0]) - 1) if batches else 0
    with pieces_of(size, records):
        for form in FORMS.values():
            one = fetched(data, skipped)
            found, _ = all_of(form, one)
            assert content(found) == expected[skipped:]
            assert one.next_fetch_offset == len(expected)


@each_compression
@each_form
def test_what_is_unpacked_at_once_is_bounded(
    form: Callable[[Any], Sequence[Record]], compression: int
) -> None:
    padded: list[Row] = [(b"k", b"v" * 2000, [])] * 20_000
    one = fetched(batch_of(padded, compression=compression))
    part = form(one) if form is not list else [next(one)]
    assert 0 < len(part) < len(padded)
    found, most = all_of(form, one)
    assert len(part) + len(found) == len(padded)
    assert most <= 4 * PIECE_BYTES


@each_form
def test_many_small_records_are_as_bounded_as_few_large_ones(
    form: Callable[[Any], Sequence[Record]],
) -> None:
    one = fetched(batch_of([(None, None, [])] * (3 * PIECE_RECORDS), compression=0))
    found, most = all_of(form, one)
    assert [record.offset for record in found] == [*range(3 * PIECE_RECORDS)]
    assert most <= 4 * PIECE_BYTES


class TestRecordsThatAreTooLarge:
    """Of a record that fits no piece, the beginning and the size are kept."""

    @pytest.mark.parametrize("compression", ENCODERS)
    @each_form
    def test_the_records_around_are_whole(
        self, form: Callable[[Any], Sequence[Record]], compression: int
    ) -> None:
        size = 3 * PIECE_BYTES + 7
        records = [(b"a", b"1", []), (b"b", b"x" * size, [("h", b"y")]), (b"c", b"3", [])]
        found, _ = all_of(form, fetched(batch_of(records, 5, compression)))
        assert [record.offset for record in found] == [5, 6, 7]
        first, cut, last = found
        assert (first.value, last.value) == (b"1", b"3")
        assert (cut.key, list(cut.headers)) == (b"b", [("h", b"y")])
        assert isinstance(cut.value, CutBytes)
        assert cut.value == b"x" * CUT_BYTES
        assert full_size(cut.value) == size

    @each_form
    @pytest.mark.parametrize("value", [b"value", b"", None])
    @pytest.mark.parametrize("key", [None, b"", b"key"])
    def test_a_null_is_no_byte_of_what_comes_behind_it(
        self, form: Callable[[Any], Sequence[Record]], key: bytes | None, value: bytes | None
    ) -> None:
        large = [("large", bytes(5 << 20))]
        data = batch_of([(b"a", b"1", []), (key, value, large), (b"c", b"3", [("h", b"y")])])
        found, _ = all_of(form, fetched(data))
        assert [(each.key, each.value) for each in found] == [
            *((b"a", b"1"), (key, value), (b"c", b"3")),
        ]

    @each_form
    def test_a_value_of_the_largest_size_is_whole_whatever_key_and_headers_are(
        self, form: Callable[[Any], Sequence[Record]]
    ) -> None:
        value = b"v" * MAX_VALUE_BYTES
        large = b"l" * (2 * PIECE_BYTES)
        records = [(large, value, []), (b"k", value, [("h", large)]), (b"k", None, [("h", large)])]
        found, _ = all_of(form, fetched(batch_of(records)))
        assert [record.value for record in found] == [value, value, None]
        assert found[0].key == large[:CUT_BYTES]
        assert full_size(found[0].key) == len(large)
        assert [list(each.headers) for each in found] == [[], [], []]
        if form is not list:  # aiokafka returns tuples
            assert [omitted(each.headers) for each in found] == [0, 1, 1]

    @each_form
    @pytest.mark.parametrize("value", [b"v", b"x" * (2 * PIECE_BYTES), None])
    def test_the_first_headers_are_kept_and_how_many_are_left_out(
        self, form: Callable[[Any], Sequence[Record]], value: bytes | None
    ) -> None:
        headers = [(f"name {n}", None if n % 3 == 0 else b"x" * 1000) for n in range(8000)]
        found, _ = all_of(form, fetched(batch_of([(b"k", value, headers), (b"c", b"3", [])])))
        kept = list(found[0].headers)
        assert kept == headers[: len(kept)]
        assert CUT_BYTES - 2000 < sum(len(v or b"") + len(name) for name, v in kept) <= CUT_BYTES
        if form is not list:
            assert omitted(found[0].headers) == len(headers) - len(kept)
            assert omitted(found[1].headers) == 0

    def test_slices_of_records_that_were_cut_say_the_same(self) -> None:
        headers = [("h", b"x" * (5 << 20))]
        found = unpacker(Records)(fetched(batch_of([(b"k", b"v", headers), (b"k", b"v", [])])))
        assert [omitted(each.headers) for each in found[0:2]] == [1, 0]
        assert [omitted(each.headers) for each in found[1:][0:1]] == [0]

    @each_form
    def test_whoever_takes_a_step_gets_his_turn_back_soon(
        self, form: Callable[[Any], Sequence[Record]]
    ) -> None:
        records: list[Row] = [(b"k", b"x" * (8 * PIECE_BYTES), [])]
        one = fetched(batch_of(records))
        if form is list:
            pytest.skip("aiokafka's own goes on to the next record")
        steps = 0
        while one._records.has_next():
            form(one)
            assert one._records.taken <= 4 * PIECE_BYTES
            steps += 1
        assert steps > 1
        assert one.next_fetch_offset == 1

    def test_a_valid_event_with_ever_so_much_behind_it_is_too_large(self) -> None:
        event = (
            b'{"event_id": "e", "event_type": "like", "user_id": 1, "video_id": 2, '
            b'"timestamp": "2025-01-15T14:30:45.123Z"}'
        )
        value = CutBytes.of(event.ljust(CUT_BYTES), 1 << 30)
        rejected = decode(value)
        assert isinstance(rejected, Rejected)
        assert rejected.reason == "too_large"
        assert str(1 << 30) in rejected.detail

    @each_form
    def test_a_batch_that_ends_within_a_record_is_refused(
        self, form: Callable[[Any], Sequence[Record]]
    ) -> None:
        records: list[Row] = [(b"k", b"x" * (2 * PIECE_BYTES), [])]
        plain = batch_of(records, compression=0)
        cut = codec.zstd_encode(plain[61 : -PIECE_BYTES // 2])
        header = bytearray(plain[:61])
        header[8:12] = struct.pack(">i", 49 + len(cut))
        header[22] |= ZSTD
        one = BoundedRecords(
            TopicPartition("events", 0),
            *(RawMemoryRecords(bytes(header) + cut), [], 0, None, None, False, READ_COMMITTED),
        )
        with pytest.raises(CorruptRecordException, match="too short for the record count"):
            all_of(form, one)


class TestContent:
    @given(
        st.lists(st.binary(max_size=100) | st.integers(1, 70_000).map(bytes), max_size=5),
        st.sampled_from([*ENCODERS]),
        st.integers(1, 50_000),
    )
    def test_any_content_is_read_in_any_steps(
        self, parts: list[bytes], compression: int, size: int
    ) -> None:
        whole = b"".join(parts)
        reader = open_content(compression, memoryview(ENCODERS[compression](whole)))
        found = b""
        while part := reader.read(size):
            assert len(part) <= size
            found += part
        assert found == whole

    @pytest.mark.parametrize("compression", [GZIP, ZSTD])
    def test_content_in_several_frames_is_read_to_its_end(self, compression: int) -> None:
        encode = ENCODERS[compression]
        reader = open_content(compression, memoryview(encode(b"a" * 9) + encode(b"b" * 9)))
        assert reader.read(100) == b"a" * 9 + b"b" * 9

    @given(st.binary(max_size=200), st.sampled_from([*ENCODERS]))
    def test_what_is_damaged_is_an_error_of_its_own_kind_or_ends(
        self, data: bytes, compression: int
    ) -> None:
        try:
            reader = open_content(compression, memoryview(data))
            reader.read(1000)
            assert reader.held >= 0
        except ValueError:
            pass


class TestDecoders:
    def test_a_decoder_waits_while_others_take_the_memory(self) -> None:
        decoders = Decoders(100)
        assert decoders.enter(60)
        assert not decoders.enter(50)
        assert decoders.enter(40)
        decoders.leave(60)
        assert decoders.enter(50)

    def test_a_single_one_may_take_more(self) -> None:
        assert Decoders(100).enter(101)

    def test_a_fetch_that_is_dropped_in_between_leaves_its_room(self) -> None:
        one = fetched(batch_of([(b"k", b"v" * 2000, [])] * 20_000))
        unpack(one)
        assert DECODERS._held
        del one
        gc.collect()
        assert not DECODERS._held
