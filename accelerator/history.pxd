cdef class Histories:
    cdef readonly object windows
    cdef long long step
    cdef long long other_panes
    cdef long long horizon

    cdef object apply(self, object value, int kind, long long t_ms, long long watched,
                      unsigned long long id_hash, long long stream_time)
    cdef Py_ssize_t _kept_from(self, const unsigned char *data, Py_ssize_t count, long long last_pane,
                               long long stream_time) noexcept
    cdef object _rare(self, object value, int kind, long long t_ms, long long watched,
                      unsigned long long id_hash, long long stream_time)
