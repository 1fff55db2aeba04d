"""Promises about what is taken of a fetch: what aiokafka itself would give, and where it stands."""

from __future__ import annotations

import gc
import struct
import weakref

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.control_record import ABORT_MARKER, COMMIT_MARKER
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streaming.fetched import unpack

TP = TopicPartition("events", 0)


def batch_of(first, count, *, producer=-1, compression=0):
    """Return the bytes of a batch of the records ``first``, ``first + 1``, ..."""
    builder = DefaultRecordBatchBuilder(
        *(2, compression, producer >= 0, producer, 0, 0),
        1 << 20,
    )
    for number in range(count):
        builder.append(number, 1000 + number, b"k", b"v%d" % (first + number), [("h", b"x")])
    return _at(bytes(builder.build()), first)


def marker_of(offset, producer, marker):
    """Return the bytes of a control batch that ends a producer's transaction."""
    builder = DefaultRecordBatchBuilder(2, 0, 1, producer, 0, -1, 1 << 10)
    key = struct.pack(">hh", marker.version, marker.type_)
    builder.append(0, 1000, key, b"\x00" * 6, [])
    data = bytearray(_at(bytes(builder.build()), offset))
    data[22] |= 0x20  # attributes, the low byte: a control batch
    return bytes(data)


def _at(data, offset):
    return struct.pack(">q", offset) + data[8:]


def fetched(data, offset, *, aborted=(), isolation=READ_COMMITTED, check_crcs=False):
    return PartitionRecords(
        TP, MemoryRecords(data), list(aborted), offset, None, None, check_crcs, isolation
    )


def same(data, offset, **options):
    """Unpack both ways, and return the offsets that both found."""
    theirs, ours = fetched(data, offset, **options), fetched(data, offset, **options)
    expected = [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in theirs]
    found = unpack(ours)
    assert [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in found] == expected
    assert ours.next_fetch_offset == theirs.next_fetch_offset
    return [record.offset for record in found]


def test_all_records_of_all_batches_are_found():
    assert same(batch_of(5, 3) + batch_of(8, 2, compression=1), 5) == [5, 6, 7, 8, 9]


def test_a_fetch_from_the_middle_of_a_batch_begins_there():
    assert same(batch_of(5, 3), 6) == [6, 7]


def test_what_was_unpacked_is_freed_without_the_garbage_collector():
    gc.disable()
    try:
        one = fetched(batch_of(5, 3), 5)
        freed = weakref.ref(one)
        unpack(one)
        del one
        assert freed() is None
    finally:
        gc.enable()


def test_what_compaction_left_out_is_passed():
    assert same(batch_of(5, 1) + batch_of(20, 1), 5) == [5, 20]


def test_records_of_aborted_transactions_and_markers_are_left_out():
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
def test_any_log_is_read_as_aiokafka_reads_it(parts, offset, isolation):
    data, at, open_since, aborted = b"", 0, {}, []
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
            at += count + what  # what compaction took away
    same(data, min(offset, at), aborted=aborted, isolation=isolation)


def test_a_damaged_batch_is_refused():
    data = bytearray(batch_of(0, 3))
    data[-3] ^= 1
    with pytest.raises(CorruptRecordException, match="events"):
        unpack(fetched(bytes(data), 0, check_crcs=True))
