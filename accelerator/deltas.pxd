from libc.stdint cimport uint32_t, uint64_t

from accelerator.counters cimport MOST_ROW
from accelerator.history cimport Outcome

cdef enum:
    VIDEO_ID = 8
    MOST_DELTA = 204


cdef class Gathered:
    # As they lie in delta records: a video's id, and a pane row.
    cdef unsigned char *_rows
    # By a hash of video and pane: the number of their row, counted from 1; 0 where there is none.
    cdef uint32_t *_slots
    cdef Py_ssize_t _count, _room

    cdef Outcome count(self, uint64_t video_id, long long pane, int kind,
                       const uint64_t *amounts) noexcept nogil
    cdef Outcome add_row(self, const unsigned char *delta) noexcept nogil
    cdef int _grow(self) noexcept nogil
