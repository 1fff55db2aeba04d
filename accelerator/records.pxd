cdef struct Place:
    long long offset
    long long timestamp
    const unsigned char *key
    Py_ssize_t key_size
    const unsigned char *value
    Py_ssize_t value_size
    const unsigned char *headers
    const unsigned char *end

cdef class Records:
    cdef Place *places
    cdef Py_ssize_t count
    cdef Py_ssize_t _room
    cdef list _contents
    cdef Records _whole
    cdef dict _omitted
    cdef object value(self, Py_ssize_t number)
    cdef object record(self, Py_ssize_t number)
    cdef int _cut(self, Place *place, cut) except -1
    cdef int _reserve(self, Py_ssize_t more) except -1
