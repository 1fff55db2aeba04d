# cython: language_level=3
"""Rows in memory that are no Python objects.

What is declared `nogil` here and where rows are changed makes no Python objects on its way. All of it
is called with the GIL nevertheless: it guards who holds a row, and the memory comes from Python. Only
what a commit has set apart is read without it (`accelerator.packing`): nobody changes that.
"""

from libc.stdint cimport int32_t, uint32_t


cdef extern from *:
    """
    #define reels_fetch(at) __builtin_prefetch(at)
    """
    # A place in memory that is far away takes as long as a hundred instructions: whoever needs many
    # of them asks for all before the first is used.
    void reels_fetch(const void *at) noexcept nogil

cdef enum:
    SLOTS_PER_ROW = 2
    # What is asked for so has to stay in the nearest cache until it is used.
    PREFETCHED_ROWS = 64


cdef struct Row:
    # A key and its value, which follow behind; shared by all that hold it.
    uint32_t holders
    uint32_t hash
    uint32_t key_size
    # -1: the key is deleted.
    int32_t value_size
    # Another row, held, that whoever needs this one will need, too; NULL: it is not at hand. Only in
    # memory: neither a changelog nor a database gets to know of it.
    Row *linked


cdef struct Key:
    const unsigned char *text
    uint32_t size
    uint32_t hash


cdef struct Slot:
    uint32_t hash
    # Of a row, counted from 1; 0 where there is none.
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
    # What the keys' texts lie in.
    cdef unsigned char *_digits
    cdef list _texts

    cdef Key *add(self, unsigned long long number) noexcept nogil
    cdef void copy(self, const Key *key) noexcept nogil


cdef class Layer:
    # In the order in which their keys came.
    cdef Row **rows
    cdef Py_ssize_t count
    # Bytes of the rows that its rows link to.
    cdef readonly Py_ssize_t linked_bytes
    cdef Py_ssize_t _room
    cdef Slot *_slots

    cdef Slot *first_slot(self, uint32_t hashed) noexcept nogil
    cdef Row *find(self, const Key *key) noexcept nogil
    cdef int put(self, Row *row) noexcept nogil
    cdef Slot *_slot(self, const Key *key) noexcept nogil
    cdef int _grow(self) noexcept nogil
