# cython: language_level=3
from accelerator.layer cimport Keys, Layer, Row


cdef class LookupResult:
    # One per key, with a reference; NULL: there is none.
    cdef Row **rows
    cdef Py_ssize_t count
    cdef readonly list missing
    cdef Keys _keys
    # Per key that no layer has, its position in `missing`.
    cdef Py_ssize_t *_which

    cdef void _look(self, Layer layer) noexcept nogil
