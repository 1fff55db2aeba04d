"""What a fetch brought, unpacked: whole record batches at a time.

Leans on the insides of aiokafka 0.14 (``PartitionRecords``, ``DefaultRecordBase``), whose own
generator copies every record field by field, and puts a kind of ``MemoryRecords`` in the place of
its fetcher's own that keeps the bytes; ``tests/streaming/test_insides.py`` and ``test_fetched.py``
fail when they move.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol, cast

from aiokafka import codec
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBase as Layout
from aiokafka.record.memory_records import MemoryRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aiokafka.consumer.fetcher import PartitionRecords
    from aiokafka.record.default_records import DefaultRecordBatch

    from .batch import Record

    #: Takes the records out of what was fetched, as a reader may see them.
    Unpack = Callable[[PartitionRecords], Sequence[Record]]

#: How a batch of any version begins: its offset, its length behind that, its leader's epoch (or a
#: checksum), its version.
_BEGINNING = struct.Struct(">8xi4xb")
_VERSION = 2

_DECODERS = {
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}


class KeptRecords:
    """aiokafka's ``MemoryRecords``, which keeps its bytes to itself, and the bytes."""

    def __init__(self, data: bytes) -> None:
        """Begin before the first batch of ``data``."""
        self.data = data
        #: Of the batch that was read last, in ``data``.
        self.start = self.end = 0
        self._batches = MemoryRecords(data)

    def size_in_bytes(self) -> int:
        """Return the size of all batches."""
        size: int = self._batches.size_in_bytes()
        return size

    def has_next(self) -> bool:
        """Whether another batch is there as a whole."""
        found: bool = self._batches.has_next()
        return found

    def next_batch(self) -> DefaultRecordBatch | None:
        """Return the next one."""
        batch = self._batches.next_batch()
        if batch is not None:
            self.start = self.end
            self.end += Layout.AFTER_LEN_OFFSET + _BEGINNING.unpack_from(self.data, self.start)[0]
        return batch

    def is_current(self) -> bool:
        """Whether all batches are of version 2, as they are since Kafka 0.11."""
        start, last = 0, len(self.data) - _BEGINNING.size
        while start <= last:
            length, version = _BEGINNING.unpack_from(self.data, start)
            if version != _VERSION:
                return False
            start += Layout.AFTER_LEN_OFFSET + length
        return True


fetcher.MemoryRecords = KeptRecords


def _visible(fetched: PartitionRecords) -> Iterator[DefaultRecordBatch]:
    """Yield the batches that a reader may see; control batches are none.

    Afterwards ``fetched.next_fetch_offset`` is behind all of them, and behind what was left out.

    Raises:
        CorruptRecordException: a batch is not what its checksum says.
    """
    batches, reads_committed = fetched._records, fetched._isolation_level == READ_COMMITTED
    while batches.has_next():
        batch = batches.next_batch()
        if fetched._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {fetched._tp}")
        if reads_committed and batch.producer_id is not None:
            fetched._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch:
            if reads_committed and fetched._contains_abort_marker(batch):
                fetched._aborted_producers.discard(batch.producer_id)
        elif not (
            reads_committed
            and batch.is_transactional
            and batch.producer_id in fetched._aborted_producers
        ):
            yield batch
        fetched.next_fetch_offset = batch.next_offset
    # A generator that refers to what it is kept in: with it, all that was fetched would stay until
    # the garbage collector comes by, which is seldom. A restore of 1 GB took 1 GB of memory so.
    fetched._records_iterator = None


def unpack(fetched: PartitionRecords) -> list[Record]:
    """Return the records that a reader may see, as aiokafka parses them.

    Raises:
        CorruptRecordException: a batch is not what its checksum says.
    """
    found: list[Record] = []
    for batch in _visible(fetched):
        records: list[Record] = list(batch)
        # A fetch from the middle of a batch brings all of it.
        if records and records[0].offset < fetched.next_fetch_offset:
            records = [each for each in records if each.offset >= fetched.next_fetch_offset]
        found += records
    return found


class Packed(Protocol):
    """A sequence of records that stay in their bytes; see ``accelerator.records``."""

    def add(self, data: bytes, start: int, end: int, content: bytes | None, first: int) -> None:
        """Append the records of a batch.

        Arguments:
            data: what was fetched.
            start: where in it the batch begins.
            end: and where it ends.
            content: the batch's records, decompressed; None when they are in ``data`` as they are.
            first: offset of the first record to append.

        Raises:
            ValueError: the records do not fit the batch.
        """


def unpacker(packed: Callable[[], Packed] | None) -> Unpack:
    """Return what takes records out of a fetch: into ``packed`` ones, or (None) one by one."""
    if packed is None:
        return unpack
    return lambda fetched: _keep(fetched, packed())


def _keep(fetched: PartitionRecords, records: Packed) -> Sequence[Record]:
    kept = fetched._records
    if not kept.is_current():
        return unpack(fetched)
    for batch in _visible(fetched):
        try:
            content = None
            if batch.compression_type:
                decode = _DECODERS[batch.compression_type]
                content = decode(kept.data[kept.start + Layout.HEADER_STRUCT.size : kept.end])
            records.add(kept.data, kept.start, kept.end, content, fetched.next_fetch_offset)
        except KeyError as exc:
            raise UnsupportedCodecError(f"compression {exc} - {fetched._tp}") from exc
        except ValueError as exc:
            raise CorruptRecordException(f"{exc} - {fetched._tp}") from exc
    return cast("Sequence[Record]", records)
