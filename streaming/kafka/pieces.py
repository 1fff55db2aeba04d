"""Record batches in pieces: a large batch is never in memory as a whole once decompressed.

A piece is an uncompressed batch of some of the records, with the header of the original batch. A
record too large for a piece is read without being kept whole: if its value or key is larger than
the maximum of an event, its beginning and size remain; of headers beyond that size, the first ones.

Depends on the layout of record batches of version 2 (KIP-98).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.record.default_records import DefaultRecordBase as Layout
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import decode_varint, encode_varint

from models.cut import CUT_BYTES, Cut, CutBytes, CutHeaders
from models.schema import MAX_VALUE_BYTES
from streaming.kafka.decompression import DECODERS, open_content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.kafka.decompression import Content

#: Maximum bytes and number of records in a piece; small records take more memory than bytes.
PIECE_BYTES: Final = 4 << 20
PIECE_RECORDS: Final = 20_000

#: Maximum bytes of a record that is kept whole: twice the largest value of an event.
WHOLE_RECORD_BYTES: Final = 2 * MAX_VALUE_BYTES

_HEADER: Final = Layout.HEADER_STRUCT
_LENGTH, _ATTRIBUTES, _LAST_OFFSET, _COUNT = 1, 5, 6, 12
_MOST_VARINT: Final = 10

#: The format and position of a batch's number of records.
COUNT: Final = struct.Struct(">i")
COUNT_OFFSET: Final = _HEADER.size - COUNT.size

FEWER: Final = "a record batch is too short for the record count in its header"
UNFIT: Final = "a record does not fit its batch"


class CutRecord(NamedTuple):
    """A cut record, with the fields of aiokafka's records."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


class Piece(NamedTuple):
    """Some records of a batch; none if the reader needs more time for the next ones."""

    data: bytes
    """The batch's header with this number of records, then the records, always uncompressed."""
    next_offset: int
    """The offset after the records of this piece and of earlier ones."""
    is_last: bool
    """Whether this is the batch's last piece."""
    cut: Cut | None = None
    """The missing parts of its only record; None if all records are complete."""

    def records(self) -> Iterator[Any]:
        """Yield the records as aiokafka parses them."""
        header = list(_HEADER.unpack_from(self.data))
        header[_ATTRIBUTES] &= ~Layout.CODEC_MASK
        plain = b"".join((_HEADER.pack(*header), memoryview(self.data)[_HEADER.size :]))
        for record in DefaultRecordBatch(plain):
            if self.cut is None:
                yield record
                continue
            value, key, headers = self.cut
            yield CutRecord(
                record.offset,
                record.timestamp,
                record.timestamp_type,
                CutBytes.of(record.key, key) if key else record.key,
                CutBytes.of(record.value, value) if value else record.value,
                CutHeaders.of(record.headers, headers) if headers else record.headers,
            )


def whole_piece(batch: DefaultRecordBatch, data: memoryview, count: int) -> Piece | None:
    """Return a batch of ``count`` records as one piece, None if it is too large for that.

    Raises:
        ValueError: the batch is damaged.
        UnknownCompressionError: its compression is unknown.
    """
    if count > PIECE_RECORDS:
        return None
    records = _open(batch, data).read(PIECE_BYTES)
    if len(records) == PIECE_BYTES:
        return None
    return Piece(b"".join((data[: _HEADER.size], records)), batch.next_offset, is_last=True)


def pieces(batch: DefaultRecordBatch, data: memoryview) -> Iterator[Piece]:
    """Iterate over the pieces of a batch.

    Each step is short: a record that takes long to decompress yields pieces without records.

    Raises:
        ValueError: the records do not fit the batch.
        UnknownCompressionError: its compression is unknown.
    """
    return _Pieces(batch, data).all()


def _open(batch: DefaultRecordBatch, data: memoryview) -> Content:
    return open_content(batch.compression_type, data[_HEADER.size :])


class _Pieces:
    """Cuts one batch that is too large for one piece."""

    def __init__(self, batch: DefaultRecordBatch, data: memoryview) -> None:
        self._batch = batch
        self._data = data
        self._header = _HEADER.unpack_from(data)
        self._left: int = self._header[_COUNT]
        self._last_offset = -1
        self._rest = b""
        """Decompressed bytes that are in no piece yet."""

    def all(self) -> Iterator[Piece]:
        content = _open(self._batch, self._data)
        held = content.held
        while not DECODERS.enter(held):
            yield self._piece()
        try:
            yield from self._cut(content)
        finally:
            DECODERS.leave(held)

    def _piece(
        self,
        records: bytes = b"",
        count: int = 0,
        *,
        cut: Cut | None = None,
        is_last: bool = False,
    ) -> Piece:
        header = list(self._header)
        header[_LENGTH] = _HEADER.size - Layout.AFTER_LEN_OFFSET + len(records)
        header[_COUNT] = count
        last_offset = self._header[_LAST_OFFSET] if is_last else self._last_offset
        data = b"".join((_HEADER.pack(*header), records))
        return Piece(data, self._batch.base_offset + last_offset + 1, is_last, cut)

    def _cut(self, content: Content) -> Iterator[Piece]:
        if not self._left:
            yield self._piece(is_last=True)
        while self._left:
            end, count = self._whole_records()
            if count:
                self._left -= count
                records, self._rest = self._rest[:end], self._rest[end:]
                yield self._piece(records, count, is_last=not self._left)
            elif self._is_next_too_large():
                self._left -= 1
                yield from self._long_record(_Stream(content, self._rest))
            else:
                more = content.read(PIECE_BYTES - len(self._rest))
                if not more:
                    raise ValueError(FEWER)
                self._rest += more

    def _whole_records(self) -> tuple[int, int]:
        """Return the end and the number of the complete records in the decompressed bytes."""
        rest, at, count, last = self._rest, 0, 0, -1
        size, most = len(rest), min(self._left, PIECE_RECORDS)
        while count < most and at < size:
            try:
                length, begin = decode_varint(rest, at)
            except IndexError:
                break
            if length < 1:
                raise ValueError(UNFIT)
            if begin + length > size:
                break
            last, at, count = begin, begin + length, count + 1
        if count:
            _, place = decode_varint(rest, last + 1)  # the timestamp, after the attributes
            self._last_offset, _ = decode_varint(rest, place)
        return at, count

    def _is_next_too_large(self) -> bool:
        try:
            length, _ = decode_varint(self._rest, 0)
        except IndexError:
            return False
        return bool(length > WHOLE_RECORD_BYTES)

    def _long_record(self, stream: _Stream) -> Iterator[Piece]:
        """Read past a record, and yield its cut form last."""
        end = stream.varint() + stream.at
        record = bytearray(stream.read(1))
        record += encode(stream.varint())
        offset = stream.varint()
        record += encode(offset)
        sizes = []
        for _part in ("key", "value"):
            size = stream.varint()
            if size > end - stream.at:
                raise ValueError(UNFIT)
            # Null has the size -1 and no bytes.
            kept = CUT_BYTES if size > MAX_VALUE_BYTES else max(size, 0)
            record += encode(min(size, kept))
            record += stream.read(kept)
            for _ in stream.skip(max(size, 0) - kept):
                yield self._piece()
            sizes.append(size if kept < size else 0)
        headers, omitted = end - stream.at, 0
        if headers < 1:
            raise ValueError(UNFIT)
        if headers <= MAX_VALUE_BYTES:
            record += stream.read(headers)
        else:
            first, omitted = _first_headers(stream.read(CUT_BYTES))
            record += first
            for _ in stream.skip(headers - CUT_BYTES):
                yield self._piece()
        self._rest, self._last_offset = stream.rest, offset
        key, value = sizes
        cut = Cut(value, key, omitted) if value or key or omitted else None
        yield self._piece(encode(len(record)) + record, 1, cut=cut, is_last=not self._left)


def _first_headers(begin: bytes) -> tuple[bytes, int]:
    """Return the headers that are complete in ``begin``, and the number of the others."""
    count, first = decode_varint(begin, 0)
    at, kept = first, 0
    while kept < count:
        try:
            size, place = decode_varint(begin, at)
            value_size, place = decode_varint(begin, place + max(size, 0))
        except IndexError:
            break
        if place + max(value_size, 0) > len(begin):
            break
        at, kept = place + max(value_size, 0), kept + 1
    if count < 0:
        raise ValueError(UNFIT)
    return encode(kept) + begin[first:at], count - kept


def encode(number: int) -> bytes:
    """Return a number in the variable-length encoding of records."""
    varint = bytearray()
    encode_varint(number, varint.append)
    return bytes(varint)


class _Stream:
    """Reads content field by field."""

    def __init__(self, content: Content, ahead: bytes) -> None:
        self.at = 0
        """Bytes read."""
        self._content = content
        self._ahead = ahead
        self._place = 0
        """The position in the bytes that were decompressed in advance."""

    @property
    def rest(self) -> bytes:
        """Bytes that were decompressed and not read."""
        return self._ahead[self._place :]

    def _need(self, size: int) -> None:
        missing = size - (len(self._ahead) - self._place)
        if missing > 0:
            self._ahead, self._place = self.rest + self._content.read(missing), 0

    def _pass(self, size: int) -> None:
        self._place += size
        self.at += size

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes."""
        self._need(size)
        part = self._ahead[self._place : self._place + size]
        if len(part) < size:
            raise ValueError(FEWER)
        self._pass(size)
        return part

    def varint(self) -> int:
        """Read a number of variable length."""
        self._need(_MOST_VARINT)
        number, end = decode_varint(self._ahead, self._place)
        self._pass(end - self._place)
        return int(number)

    def skip(self, size: int) -> Iterator[None]:
        """Read past ``size`` bytes, yielding now and then so that callers stay responsive."""
        ahead = min(size, len(self._ahead) - self._place)
        self._pass(ahead)
        size -= ahead
        while size:
            part = min(size, PIECE_BYTES)
            if len(self._content.read(part)) < part:
                raise ValueError(FEWER)
            size, self.at = size - part, self.at + part
            yield None
