from libc.stdint cimport uint64_t

cdef enum:
    # What an event may add to a counter: models.entity.AMOUNTS, in its order.
    ONE, WATCHED, POSITIONS, REACHED
    AMOUNTS

cdef struct Event:
    long long t_ms
    uint64_t[AMOUNTS] amounts
    unsigned long long user_id
    unsigned long long video_id
    # -1: it names none.
    long long creator_id
    const unsigned char *event_id
    Py_ssize_t event_id_size
    int kind

cdef enum Kind:
    VIEW, LIKE, COMMENT, SHARE, SAVE, FOLLOW

cdef bint scan(const unsigned char *text, Py_ssize_t size, Event *event) noexcept nogil
