# cython: language_level=3
"""Rows in memory that are not Python objects.

Functions declared `nogil`, here and where rows are changed, create no Python objects. They are
still called with the GIL, which guards the reference counts and Python's allocator. Only layers
that no longer change are read without it: to pack a frozen layer, and to sort one for a flush.
"""

from libc.stdint cimport int32_t, uint32_t


cdef extern from *:
    """
    #define reels_fetch(at) __builtin_prefetch(at)
    """
    # A read from distant memory takes as long as a hundred instructions. Code that needs many
    # places prefetches all of them before it uses the first.
    void reels_fetch(const void *at) noexcept nogil

cdef enum:
    SLOTS_PER_ROW = 2
    # Prefetched rows must stay in the nearest cache until they are used.
    PREFETCHED_ROWS = 64


cdef struct Row:
    # A key and its value, which follow the struct; shared, with a count of references.
    uint32_t holders
    uint32_t hash
    uint32_t key_size
    # -1: the key is deleted.
    int32_t value_size
    # Another row that readers of this one need as well, with a reference; NULL: not in memory.
    # Neither a changelog nor a database contains the link.
    Row *linked


cdef struct Key:
    const unsigned char *text
    uint32_t size
    uint32_t hash


cdef struct Slot:
    uint32_t hash
    # Number of a row, counted from 1; 0: none.
    uint32_t number


cdef inline unsigned char *key_text(Row *row) noexcept nogil:
    return <unsigned char *> (row + 1)


cdef inline unsigned char *value_text(Row *row) noexcept nogil:
    return <unsigned char *> (row + 1) + row.key_size


cdef Key key_from(const unsigned char *text, uint32_t size) noexcept nogil
cdef Row *make_row(const Key *key, Py_ssize_t value_size) noexcept nogil
cdef Row *hold(Row *row) noexcept nogil
cdef void evict(Row *row) noexcept nogil
cdef void evict_all(Row **rows, Py_ssize_t count) noexcept nogil
cdef object value_of(Row *row)
cdef Row *row_from_bytes(const Key *key, value) except NULL


cdef class Keys:
    cdef Key *keys
    cdef Py_ssize_t count
    # The memory of the keys' texts.
    cdef unsigned char *_digits
    cdef list _texts

    cdef Key *add(self, unsigned long long number) noexcept nogil
    cdef void copy(self, const Key *key) noexcept nogil


cdef class Layer:
    # In the order in which their keys were added; NULL: dropped.
    cdef Row **rows
    cdef Py_ssize_t count
    cdef Py_ssize_t dropped
    # Bytes of the values of linked rows.
    cdef readonly Py_ssize_t linked_bytes
    cdef Py_ssize_t _room
    cdef Slot *_slots

    cdef Slot *first_slot(self, uint32_t hashed) noexcept nogil
    cdef Row *find(self, const Key *key) noexcept nogil
    cdef int put(self, Row *row) noexcept nogil
    cdef Slot *_slot(self, const Key *key) noexcept nogil
    cdef int _grow(self) noexcept nogil
    cdef void _prefetch(self, Layer newer, Py_ssize_t first, Py_ssize_t end) noexcept nogil
