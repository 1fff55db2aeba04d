"""Values packed into record batches, to be sent.

Leans on the insides of aiokafka 0.14 (``BatchBuilder``, ``DefaultRecordBase``), whose own method of
appending a record takes longer than all the rest; ``tests/streaming/test_insides.py`` and
``test_packing.py`` fail when they move.
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

    #: Packs values into batches of fewer than so many bytes, or of one record.
    Pack = Callable[[Layer, int], Iterator[BatchBuilder]]

#: Bytes of one record batch. A full one is closed, and the next begun. A request has one of each
#: partition, and is copied twice on its way: with 512 KiB a commit far behind took 60 MiB for that.
BATCH_BYTES = 256 << 10

_VERSION = 2


class PackedBatch(BatchBuilder):
    """A batch of a transaction whose records are packed already, all of one time."""

    def __init__(self, batch: bytearray, count: int, now_ms: int) -> None:
        """Take over ``batch``, which has room for a header before its ``count`` records."""
        self._buffer = batch
        self._relative_offset = count
        self._now_ms = now_ms
        self._closed = True

    def _set_producer_state(
        self, producer_id: int, producer_epoch: int, base_sequence: int
    ) -> None:
        """Write the header: aiokafka tells this before it sends the batch for the first time."""
        batch, count = self._buffer, self._relative_offset
        Layout.HEADER_STRUCT.pack_into(
            *(batch, 0),
            0,  # its offset, which the broker sets
            len(batch) - Layout.AFTER_LEN_OFFSET,
            Layout.NO_PARTITION_LEADER_EPOCH,
            _VERSION,
            0,  # the checksum of what follows
            Layout.TRANSACTIONAL_MASK,
            count - 1,
            *(self._now_ms, self._now_ms),
            *(producer_id, producer_epoch, base_sequence),
            count,
        )
        checksum = crc32c(memoryview(batch)[Layout.ATTRIBUTES_OFFSET :])
        struct.pack_into(">I", batch, Layout.CRC_OFFSET, checksum)


def pack(values: Layer, limit: int) -> Iterator[BatchBuilder]:
    """Pack values as aiokafka does."""
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
    """Append records till the batch is full, and return the one that it refused.

    Past aiokafka's own method, whose keyword arguments and serializers take longer than the rest.
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
    """Yield batches of at most ``limit`` bytes, or of one record, and the records in each."""
    now_ms = int(time() * 1000)
    batch = BatchBuilder(limit, 0, is_transactional=True)
    inside: list[OutRecord] = []
    for record in records:
        # As _fill does, past aiokafka's own method.
        while not _append(batch, len(inside), record, now_ms):
            yield _closed(batch, len(inside)), inside
            batch, inside = BatchBuilder(limit, 0, is_transactional=True), []
        inside.append(record)
    if inside:
        yield _closed(batch, len(inside)), inside


def _append(batch: BatchBuilder, number: int, record: OutRecord, now_ms: int) -> bool:
    """Whether a batch, whose first record is always taken, has room for another."""
    key, value, headers, timestamp = record[:4]
    at_ms = now_ms if timestamp is None else timestamp
    return batch._builder.append(number, at_ms, key, value, list(headers)) is not None


def _closed(batch: BatchBuilder, count: int) -> BatchBuilder:
    batch.close()
    batch._relative_offset = count
    return batch


def packer(pack_records: PackRecords | None) -> Pack:
    """Return what packs values: by ``pack_records``, or (None) as aiokafka does."""
    if pack_records is None:
        return pack

    def packed(values: Layer, limit: int) -> Iterator[BatchBuilder]:
        now_ms = int(time() * 1000)
        for batch, count in pack_records(values, limit):
            yield PackedBatch(batch, count, now_ms)

    return packed
