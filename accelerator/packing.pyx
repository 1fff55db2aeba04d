# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Packing of values into record batches, compiled; see streaming.kafka.batch_writer."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from accelerator.layer cimport Layer, Row, key_text, reels_fetch, value_text

cdef enum:
    # Bytes of a batch's header.
    HEADER = 61
    # Rows that are prefetched.
    AHEAD = 8


cdef inline int _size(uint64_t number) noexcept nogil:
    """Return the size of a non-negative number as a zigzag varint, in bytes."""
    cdef int size = 1
    number <<= 1
    while number >= 0x80:
        number >>= 7
        size += 1
    return size


cdef inline Py_ssize_t _text_size(Py_ssize_t size) noexcept nogil:
    """Return the size of a text with its length prefix, in bytes; -1: null."""
    return 1 if size < 0 else _size(size) + size


cdef inline char *_put(char *at, uint64_t number) noexcept nogil:
    number <<= 1
    while number >= 0x80:
        at[0] = <char> (number & 0x7f | 0x80)
        number >>= 7
        at += 1
    at[0] = <char> number
    return at + 1


cdef inline char *_put_text(char *at, const unsigned char *text, Py_ssize_t size) noexcept nogil:
    """Write a text with its length prefix, and return the end; -1: null."""
    if size < 0:
        at[0] = 1
        return at + 1
    at = _put(at, size)
    memcpy(at, text, size)
    return at + size


cdef struct Extent:
    # Number of rows in a batch, and its bytes with the header.
    Py_ssize_t count
    Py_ssize_t size


cdef inline Py_ssize_t _body(Row *row, Py_ssize_t number) noexcept nogil:
    """Return the size of a record without its length prefix."""
    # Attributes, timestamp and number of headers are one zero byte each.
    return 3 + _text_size(row.key_size) + _text_size(row.value_size) + _size(number)


cdef Extent _extent(Layer values, Py_ssize_t first, Py_ssize_t limit) noexcept nogil:
    """Return the extent of the batch that begins with the row `first`."""
    cdef Extent batch
    cdef Py_ssize_t number, body, needed
    batch.count, batch.size = 0, HEADER
    for number in range(first, values.count):
        if number + AHEAD < values.count:
            reels_fetch(values.rows[number + AHEAD])
        body = _body(values.rows[number], batch.count)
        needed = batch.size + _size(body) + body
        if needed >= limit and batch.count:  # as in aiokafka
            break
        batch.count += 1
        batch.size = needed
    return batch


cdef void _write(Layer values, Py_ssize_t first, Py_ssize_t count, char *at) noexcept nogil:
    """Write the records of a batch."""
    cdef Py_ssize_t number
    cdef Row *row
    for number in range(count):
        row = values.rows[first + number]
        at = _put(at, _body(row, number))
        at[0] = at[1] = 0
        at = _put(at + 2, number)
        at = _put_text(at, key_text(row), row.key_size)
        at = _put_text(at, value_text(row), row.value_size)
        at[0] = 0
        at += 1


def pack(Layer values not None, Py_ssize_t limit):
    """Yield the records of `values` in batches of fewer than `limit` bytes, or of one record.

    `values` must not change meanwhile, because it is read without the GIL; no row may be dropped.
    """
    cdef Py_ssize_t first = 0
    cdef Extent extent
    cdef bytearray batch
    cdef char *at
    if values.dropped:
        raise ValueError("the layer has dropped rows")
    while first < values.count:
        with nogil:
            extent = _extent(values, first, limit)
        batch = PyByteArray_FromStringAndSize(NULL, extent.size)
        at = PyByteArray_AS_STRING(batch) + HEADER
        with nogil:
            _write(values, first, extent.count, at)
        yield batch, extent.count
        first += extent.count
