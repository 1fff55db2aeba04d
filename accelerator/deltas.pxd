from libc.stdint cimport uint32_t, uint64_t

from accelerator.counters cimport MAX_ROW_BYTES, Shape
from accelerator.user cimport Outcome

cdef enum:
    # Bytes of a key.
    KEY = 8


cdef class Form:
    # An entity's counters in a pane row, and the bytes of such a row and of a delta record's row.
    cdef Shape shape
    cdef Py_ssize_t row, delta_row
    cdef int version
    cdef readonly object entity
    cdef object packed


cdef class DeltaAccumulator:
    cdef Form form
    # As in delta records: a key, and a pane row.
    cdef unsigned char *_rows
    # By a hash of key and pane: the number of their row, counted from 1; 0: none.
    cdef uint32_t *_slots
    cdef Py_ssize_t _count, _room

    cdef Outcome count(self, uint64_t key, long long pane, int kind,
                       const uint64_t *amounts) noexcept nogil
    cdef unsigned char *_counters(self, uint64_t key, uint32_t pane) noexcept nogil
    cdef int _grow(self) noexcept nogil
