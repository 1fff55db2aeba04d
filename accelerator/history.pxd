cdef object RARE

cdef class Histories:
    cdef readonly object windows
    cdef long long step
    cdef long long other_panes
    cdef long long horizon
    cdef bytes block
    cdef int block_number

    cdef object apply(self, object value, int kind, long long t_ms, long long watched,
                      unsigned long long id_hash, long long stream_time)
    cdef int _seal(self, const unsigned char *ids, int number, long long stream_time) except -1
    cdef bint apply_rare(self, object rows, bytes key, int kind, long long t_ms, long long watched,
                         unsigned long long id_hash, long long stream_time) except -1
