"""Values packed into record batches, to be sent.

Leans on the insides of aiokafka 0.14 (``BatchBuilder``), whose own method of appending a record
takes longer than all the rest; ``tests/streaming/test_insides.py`` fails when they move.
"""

from __future__ import annotations

import struct
from itertools import chain
from time import time
from typing import TYPE_CHECKING, Protocol

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Values = dict[bytes, "bytes | None"]

    #: Packs values into batches of fewer than so many bytes, or of one record.
    Pack = Callable[[Values, int], Iterator[BatchBuilder]]

    class PackRecords(Protocol):
        """Packs records; see ``accelerator.packing``."""

        def __call__(self, values: Values, limit: int, /) -> Iterator[tuple[bytearray, int]]:
            """Yield batches, with room for their headers, and how many records each has."""


#: Of a record batch (KIP-98): base offset, length behind that, leader's epoch, version; checksum;
#: attributes, last offset, first and latest time, producer's id, epoch and sequence, records.
_BEGINNING, _CHECKSUM = struct.Struct(">qiib"), struct.Struct(">I")
_REST = struct.Struct(">hiqqqhii")
_CHECKSUM_AT, _REST_AT = _BEGINNING.size, _BEGINNING.size + _CHECKSUM.size
_BEFORE_LENGTH = 12
_NO_EPOCH = -1
_VERSION = 2
_TRANSACTIONAL = 0x10


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
        batch, count, now_ms = self._buffer, self._relative_offset, self._now_ms
        _BEGINNING.pack_into(batch, 0, 0, len(batch) - _BEFORE_LENGTH, _NO_EPOCH, _VERSION)
        producer = producer_id, producer_epoch, base_sequence
        times = now_ms, now_ms
        _REST.pack_into(batch, _REST_AT, _TRANSACTIONAL, count - 1, *times, *producer, count)
        _CHECKSUM.pack_into(batch, _CHECKSUM_AT, calc_crc32c(batch[_REST_AT:]))


def pack(values: Values, limit: int) -> Iterator[BatchBuilder]:
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
    batch.close()
    batch._relative_offset = count
    return refused


def packer(pack_records: PackRecords | None) -> Pack:
    """Return what packs values: by ``pack_records``, or (None) as aiokafka does."""
    if pack_records is None:
        return pack

    def packed(values: Values, limit: int) -> Iterator[BatchBuilder]:
        now_ms = int(time() * 1000)
        for batch, count in pack_records(values, limit):
            yield PackedBatch(batch, count, now_ms)

    return packed
