"""Packing of values and records into batches for sending.

Depends on the internals of aiokafka 0.14 (``BatchBuilder``, ``DefaultRecordBase``), because its
method to append a record takes longer than everything else; ``tests/streaming/test_insides.py`` and
``test_batch_writer.py`` fail when they change.
"""

from __future__ import annotations

import struct
from itertools import chain
from time import time
from typing import TYPE_CHECKING

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBase as Layout
from crc32c import crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streaming.kafka.records import OutRecord
    from tables.layers import Layer, PackRecords

    #: Packs values into batches below a limit in bytes; a larger record is a batch of its own.
    Pack = Callable[[Layer, int], Iterator[BatchBuilder]]

#: Maximum bytes of a record batch. A request has one batch per partition and is copied twice: with
#: 512 KiB, the commit of a worker far behind took 60 MiB for that.
BATCH_BYTES = 256 << 10

_VERSION = 2


class PackedBatch(BatchBuilder):
    """A transactional batch of packed records that share one timestamp."""

    def __init__(self, batch: bytearray, count: int, now_ms: int) -> None:
        """Own ``batch``, which has space for a header before its ``count`` records."""
        self._buffer = batch
        self._relative_offset = count
        self._now_ms = now_ms
        self._closed = True

    def _set_producer_state(
        self, producer_id: int, producer_epoch: int, base_sequence: int
    ) -> None:
        """Write the header; aiokafka calls this before it first sends the batch."""
        batch, count = self._buffer, self._relative_offset
        Layout.HEADER_STRUCT.pack_into(
            *(batch, 0),
            0,  # the base offset, set by the broker
            len(batch) - Layout.AFTER_LEN_OFFSET,
            Layout.NO_PARTITION_LEADER_EPOCH,
            _VERSION,
            0,  # the checksum of the rest, set below
            Layout.TRANSACTIONAL_MASK,
            count - 1,
            *(self._now_ms, self._now_ms),
            *(producer_id, producer_epoch, base_sequence),
            count,
        )
        checksum = crc32c(memoryview(batch)[Layout.ATTRIBUTES_OFFSET :])
        struct.pack_into(">I", batch, Layout.CRC_OFFSET, checksum)


def pack(values: Layer, limit: int) -> Iterator[BatchBuilder]:
    """Pack values with aiokafka's builder."""
    rest: Iterator[tuple[bytes, bytes | None]] = iter(values.items())
    while True:
        batch = BatchBuilder(limit, 0, is_transactional=True)
        refused = _fill(batch, rest)
        yield batch
        if refused is None:
            return
        rest = chain([refused], rest)


def _fill(
    batch: BatchBuilder, records: Iterator[tuple[bytes, bytes | None]]
) -> tuple[bytes, bytes | None] | None:
    """Append records until the batch is full, and return the first that did not fit.

    Bypasses aiokafka's method, whose keyword arguments and serializers take most of the time.
    """
    append, now_ms = batch._builder.append, int(time() * 1000)
    no_headers: list[tuple[str, bytes]] = []
    count, refused = 0, None
    for record in records:
        if append(count, now_ms, *record, no_headers) is None:
            refused = record
            break
        count += 1
    _closed(batch, count)
    return refused


def record_batches(
    records: Iterable[OutRecord], limit: int
) -> Iterator[tuple[BatchBuilder, list[OutRecord]]]:
    """Yield batches of at most ``limit`` bytes, or of one record, each with its records."""
    now_ms = int(time() * 1000)
    batch = BatchBuilder(limit, 0, is_transactional=True)
    inside: list[OutRecord] = []
    for record in records:
        # Bypasses aiokafka's method, like _fill.
        while not _append(batch, len(inside), record, now_ms):
            yield _closed(batch, len(inside)), inside
            batch, inside = BatchBuilder(limit, 0, is_transactional=True), []
        inside.append(record)
    if inside:
        yield _closed(batch, len(inside)), inside


def _append(batch: BatchBuilder, number: int, record: OutRecord, now_ms: int) -> bool:
    """Append a record if it fits, and return whether it did; the first record always fits."""
    key, value, headers, timestamp = record[:4]
    at_ms = now_ms if timestamp is None else timestamp
    return batch._builder.append(number, at_ms, key, value, list(headers)) is not None


def _closed(batch: BatchBuilder, count: int) -> BatchBuilder:
    batch.close()
    batch._relative_offset = count
    return batch


def packer(pack_records: PackRecords | None) -> Pack:
    """Return a function that packs values with ``pack_records``, or (None) aiokafka's builder."""
    if pack_records is None:
        return pack

    def packed(values: Layer, limit: int) -> Iterator[BatchBuilder]:
        now_ms = int(time() * 1000)
        for batch, count in pack_records(values, limit):
            yield PackedBatch(batch, count, now_ms)

    return packed
