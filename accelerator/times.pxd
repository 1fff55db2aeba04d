cdef enum Judgement:
    # models.timestamps must judge.
    UNSURE
    WRONG
    RIGHT

cdef Judgement time_of(const unsigned char *at, Py_ssize_t size, long long *t_ms) noexcept nogil
