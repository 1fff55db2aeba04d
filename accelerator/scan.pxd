from libc.stdint cimport uint64_t

from accelerator.tokens cimport ROOM

cdef enum:
    # Amounts that an event may add to a counter, in the order of models.entity.AMOUNTS.
    ONE, WATCHED, POSITIONS, REACHED
    AMOUNTS

cdef enum ScanResult:
    # models.event must judge.
    UNSURE
    RIGHT
    NOT_AN_OBJECT
    # For a required field, which the scan returns as well.
    MISSING
    INVALID
    UNKNOWN_TYPE

cdef struct Event:
    long long t_ms
    uint64_t[AMOUNTS] amounts
    unsigned long long user_id
    unsigned long long video_id
    # -1: the event has none.
    long long creator_id
    const unsigned char *event_id
    Py_ssize_t event_id_size
    int kind
    # Invalid optional values, one bit each in the order of WRONG_NAMES, from CREATOR_ID on.
    int wrong

cdef struct Rooms:
    # For texts with escapes: the event's id, and any other text.
    unsigned char[ROOM] event_id
    unsigned char[ROOM] other

cdef enum Kind:
    VIEW, LIKE, COMMENT, SHARE, SAVE, FOLLOW
    KINDS

cdef int kind_of(const unsigned char *text, Py_ssize_t size) noexcept nogil
cdef ScanResult scan(const unsigned char *text, Py_ssize_t size, Event *event, Rooms *rooms,
                  int *field) noexcept nogil
cdef object rejection_of(ScanResult verdict, int field)
cdef int note_wrong(const Event *event, list names) except -1
