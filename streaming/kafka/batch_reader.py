"""Unpacking of fetches: whole record batches, within a memory limit.

Depends on the internals of aiokafka 0.14 (``PartitionRecords``, ``DefaultRecordBase``), whose
generator copies every record field by field and decompresses whole batches. This module replaces
the fetcher's ``MemoryRecords`` and ``PartitionRecords`` with classes that keep the bytes and return
large batches in pieces; ``tests/streaming/test_insides.py`` and ``test_batch_reader.py`` fail when
the internals change.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Protocol, cast

from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBase as Layout
from aiokafka.record.memory_records import MemoryRecords

from streaming.kafka.decompression import UnknownCompressionError
from streaming.kafka.pieces import (
    COUNT,
    COUNT_OFFSET,
    PIECE_BYTES,
    PIECE_RECORDS,
    pieces,
    whole_piece,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aiokafka.consumer.fetcher import FetchResult
    from aiokafka.record.default_records import DefaultRecordBatch
    from aiokafka.structs import ConsumerRecord, TopicPartition

    from models.cut import Cut
    from streaming.kafka.pieces import Piece
    from streaming.kafka.records import Record

    #: Extracts the records of a fetch that a reader may see.
    Unpack = Callable[[PartitionRecords], Sequence[Record]]

#: The start of a batch of any version: offset, length after this field, leader epoch (or a
#: checksum), version.
_BEGINNING = struct.Struct(">8xi4xb")
_VERSION = 2

_ATTRIBUTES = struct.Struct(">H")

#: Approximate bytes of memory after which unpacking of a fetch pauses.
STEP_BYTES = 8 << 20

#: Bytes of memory per record besides its content: as an aiokafka object, and packed.
RECORD_BYTES, PACKED_RECORD_BYTES = 400, 64


class RawMemoryRecords:
    """aiokafka's ``MemoryRecords`` with public access to the bytes.

    A batch that is compressed or has very many records is returned in uncompressed pieces, with the
    same batch object for each piece.
    """

    def __init__(self, data: bytes) -> None:
        """Start before the first batch of ``data``."""
        #: The buffer of the current batch or piece, and its position there.
        self.data = self._fetched = data
        self.start = self.end = 0
        #: The missing parts of its only record; None if its records are complete.
        self.cut: Cut | None = None
        #: The offset after it.
        self.next_offset = 0
        #: Bytes of memory used since a caller last set it to 0.
        self.taken = 0
        self._next = 0
        self._batches = MemoryRecords(data)
        self._batch: DefaultRecordBatch = None
        self._piece: Piece | None = None
        self._pieces: Iterator[Piece] | None = None

    def size_in_bytes(self) -> int:
        """Return the size of all batches."""
        size: int = self._batches.size_in_bytes()
        return size

    def has_next(self) -> bool:
        """Whether there is another complete batch, or another piece."""
        return self.is_within_batch or bool(self._batches.has_next())

    @property
    def is_within_batch(self) -> bool:
        """Whether the current batch has another piece."""
        return self._pieces is not None

    def next_batch(self) -> DefaultRecordBatch | None:
        """Return the next batch, or the current batch again for its next piece.

        Raises:
            CorruptRecordException: its records do not fit the batch.
            UnsupportedCodecError: its compression is unknown.
        """
        if self._pieces is not None:
            return self._next_piece(self._pieces)
        self._batch = self._batches.next_batch()
        if self._batch is None:
            return None
        start, self._next = self._next, self._end(self._next)
        self.data, self.start, self.end = self._fetched, start, self._next
        self.cut = self._piece = None
        self.next_offset = self._batch.next_offset
        if not self._needs_pieces():
            self.taken += self.end - self.start
            return self._batch
        bounded = memoryview(self._fetched)[start : self._next]
        with _kafka_errors():
            whole = whole_piece(self._batch, bounded, self.count)
        if whole is not None:
            return self._take(whole)
        self._pieces = pieces(self._batch, bounded)
        return self._next_piece(self._pieces)

    def _next_piece(self, following: Iterator[Piece]) -> DefaultRecordBatch:
        with _kafka_errors():
            piece = next(following)
        if piece.is_last:
            self._pieces = None
        return self._take(piece)

    def _take(self, piece: Piece) -> DefaultRecordBatch:
        self._piece = piece
        self.data, self.start, self.end = piece.data, 0, len(piece.data)
        self.cut, self.next_offset = piece.cut, piece.next_offset
        self.taken += self.end if self.count else PIECE_BYTES
        return self._batch

    def records(self) -> Iterator[Any]:
        """Iterate over the records of the current batch or piece."""
        return iter(self._batch) if self._piece is None else self._piece.records()

    def _end(self, start: int) -> int:
        length: int = _BEGINNING.unpack_from(self._fetched, start)[0]
        return start + int(Layout.AFTER_LEN_OFFSET) + length

    def _needs_pieces(self) -> bool:
        if _BEGINNING.unpack_from(self.data, self.start)[1] != _VERSION:
            return False
        (attributes,) = _ATTRIBUTES.unpack_from(self.data, self.start + Layout.ATTRIBUTES_OFFSET)
        return bool(attributes & Layout.CODEC_MASK) or self.count > PIECE_RECORDS

    @property
    def count(self) -> int:
        """The number of records in the current piece or batch of version 2."""
        count: int = COUNT.unpack_from(self.data, self.start + COUNT_OFFSET)[0]
        return count

    def is_current(self) -> bool:
        """Whether all batches have version 2, the format since Kafka 0.11."""
        start, last = 0, len(self._fetched) - _BEGINNING.size
        while start <= last:
            if _BEGINNING.unpack_from(self._fetched, start)[1] != _VERSION:
                return False
            start = self._end(start)
        return True


class _kafka_errors:  # noqa: N801 - named like those of contextlib
    """Translates errors about a batch to aiokafka's."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        """Raise aiokafka's error in place of ours."""
        if isinstance(exc, UnknownCompressionError):
            raise UnsupportedCodecError(str(exc)) from exc
        if isinstance(exc, ValueError | IndexError):
            raise CorruptRecordException(str(exc)) from exc


def _visible(fetched: PartitionRecords) -> Iterator[RawMemoryRecords]:
    """Visit each batch that a reader may see, up to :data:`STEP_BYTES` of memory.

    Control batches and aborted batches are skipped. Afterwards ``fetched.next_fetch_offset`` is
    after all visited and skipped batches.

    Raises:
        CorruptRecordException: a batch does not match its checksum, or is damaged.
        UnsupportedCodecError: the compression of a batch is unknown.
    """
    batches, reads_committed = fetched._records, fetched._isolation_level == READ_COMMITTED
    batches.taken = 0
    while batches.has_next() and batches.taken < STEP_BYTES:
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
            yield batches
        # The fetch may have started inside a batch, after its first pieces.
        if not batches.is_within_batch or batches.next_offset > fetched.next_fetch_offset:
            fetched.next_fetch_offset = batches.next_offset


class BoundedRecords(PartitionRecords):
    """aiokafka's ``PartitionRecords``, unpacked as its reader advances."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[ConsumerRecord[bytes, bytes]]:
        while self._records.has_next():
            for batch in _visible(self):
                for record in batch.records():
                    if record.offset >= self.next_fetch_offset:
                        self.next_fetch_offset = record.offset + 1
                        yield self._consumer_record(self._tp, record)
        # See :func:`unpack`.
        self._records_iterator = None


def install() -> None:
    """Make all consumers of this process use these classes."""
    fetcher.MemoryRecords = RawMemoryRecords
    fetcher.PartitionRecords = BoundedRecords


def unpack(fetched: PartitionRecords) -> list[Record]:
    """Return the next records that a reader may see, as aiokafka parses them.

    They are all remaining records of the fetch, or as many as the memory limit allows.

    Raises:
        CorruptRecordException: a batch does not match its checksum, or is damaged.
        UnsupportedCodecError: the compression of a batch is unknown.
    """
    # The generator and its owner form a reference cycle, which would keep the fetch in memory until
    # the garbage collector runs. It runs seldom: a restore of 1 GB needed 1 GB of memory.
    fetched._records_iterator = None
    found: list[Record] = []
    for batch in _visible(fetched):
        records: list[Record] = list(batch.records())
        batch.taken += RECORD_BYTES * len(records)
        # A fetch from the middle of a batch returns the whole batch.
        if records and records[0].offset < fetched.next_fetch_offset:
            records = [each for each in records if each.offset >= fetched.next_fetch_offset]
        found += records
    return found


def put_back(fetched: FetchResult, results: dict[TopicPartition, FetchResult]) -> bool:
    """Append ``fetched`` to ``results`` again if it has more records, and return whether it has."""
    has_more: bool = fetched._partition_records._records.has_next()
    if has_more:
        results[fetched._topic_partition] = fetched
    return has_more


class Packed(Protocol):
    """A sequence of records that are kept as raw bytes; see ``accelerator.records``."""

    def add(self, data: bytes, start: int, end: int, first: int, cut: Cut | None) -> None:
        """Append the records of an uncompressed batch.

        Arguments:
            data: the buffer that contains the batch.
            start: the index of the batch's first byte.
            end: the index after its last byte.
            first: the offset of the first record to append.
            cut: the missing parts of its only record; None if its records are complete.

        Raises:
            ValueError: the records do not fit the batch.
        """


def unpacker(packed: Callable[[], Packed] | None) -> Unpack:
    """Return a function that unpacks a fetch into ``packed`` records, or (None) record objects."""
    if packed is None:
        return unpack
    return lambda fetched: _keep(fetched, packed())


def _keep(fetched: PartitionRecords, records: Packed) -> Sequence[Record]:
    if not fetched._records.is_current():
        return unpack(fetched)
    fetched._records_iterator = None
    for batch in _visible(fetched):
        with _kafka_errors():
            records.add(batch.data, batch.start, batch.end, fetched.next_fetch_offset, batch.cut)
        batch.taken += PACKED_RECORD_BYTES * batch.count
    return cast("Sequence[Record]", records)
