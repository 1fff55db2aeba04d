cdef struct Event:
    long long t_ms
    long long watched
    unsigned long long user_id
    unsigned long long video_id
    const unsigned char *event_id
    Py_ssize_t event_id_size
    int kind

cdef enum Kind:
    VIEW, LIKE, COMMENT, SHARE, SAVE, FOLLOW

cdef bint scan(const unsigned char *text, Py_ssize_t size, Event *event) noexcept nogil
