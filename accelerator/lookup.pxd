# cython: language_level=3
from accelerator.layer cimport Keys, Layer, Row


cdef class LookupResult:
    # One a key, held; NULL: there is none.
    cdef Row **rows
    cdef Py_ssize_t count
    cdef readonly list missing
    cdef Keys _keys
    # Of the keys that no layer has: which of the missing ones they are.
    cdef Py_ssize_t *_which

    cdef void _look(self, Layer layer) noexcept nogil
