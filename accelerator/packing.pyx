# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Values packed into record batches: what streaming.packing has aiokafka do, compiled."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Resize
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from accelerator.layer cimport Layer, Row, key_text, value_text

cdef enum:
    # Bytes of a batch's header, and of the first room for a batch.
    HEADER = 61
    ROOM = 4096


cdef inline int _size(uint64_t number) noexcept nogil:
    """Of a number that is not negative, as a zigzag varint."""
    cdef int size = 1
    number <<= 1
    while number >= 0x80:
        number >>= 7
        size += 1
    return size


cdef inline Py_ssize_t _text_size(Py_ssize_t size) noexcept nogil:
    """Of a text with its size before it; -1 is none."""
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
    """Write a text with its size before it; -1 is none."""
    if size < 0:
        at[0] = 1
        return at + 1
    at = _put(at, size)
    memcpy(at, text, size)
    return at + size


def pack(Layer values not None, Py_ssize_t limit):
    """Yield the records of `values` in batches of fewer than `limit` bytes, or of one record."""
    cdef Py_ssize_t number, end = HEADER, count = 0, texts, body, needed
    cdef Py_ssize_t room = ROOM
    cdef Row *row
    cdef bytearray batch = bytearray(room)
    cdef char *at
    for number in range(values.count):
        row = values.rows[number]
        # Attributes, time and number of headers are a zero each.
        texts = 3 + _text_size(row.key_size) + _text_size(row.value_size)
        body = texts + _size(count)
        needed = end + _size(body) + body
        if needed >= limit and count:  # as aiokafka has it
            PyByteArray_Resize(batch, end)
            yield batch, count
            room, end, count = ROOM, HEADER, 0
            batch = bytearray(room)
            body = texts + _size(count)
            needed = end + _size(body) + body
        if needed > room:
            room = max(needed, 2 * room)
            PyByteArray_Resize(batch, room)
        at = _put(PyByteArray_AS_STRING(batch) + end, body)
        at[0] = at[1] = 0
        at = _put(at + 2, count)
        at = _put_text(at, key_text(row), row.key_size)
        at = _put_text(at, value_text(row), row.value_size)
        at[0] = 0
        end = needed
        count += 1
    if count:
        PyByteArray_Resize(batch, end)
        yield batch, count
