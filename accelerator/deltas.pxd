from libc.stdint cimport uint32_t, uint64_t

from accelerator.history cimport Outcome

cdef enum:
    COUNTERS = 4


cdef packed struct Delta:
    uint64_t video_id
    uint32_t pane
    uint32_t counts[COUNTERS]


cdef class Gathered:
    cdef Delta *_rows
    # By a hash of video and pane: the number of their row, counted from 1; 0 where there is none.
    cdef uint32_t *_slots
    cdef Py_ssize_t _count, _room

    cdef Outcome count(self, uint64_t video_id, long long pane, int counter) noexcept nogil
    cdef int _grow(self) noexcept nogil
