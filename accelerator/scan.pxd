from libc.stdint cimport uint64_t

from accelerator.tokens cimport ROOM

cdef enum:
    # What an event may add to a counter: models.entity.AMOUNTS, in its order.
    ONE, WATCHED, POSITIONS, REACHED
    AMOUNTS

cdef enum ScanResult:
    # models.event has to judge.
    UNSURE
    RIGHT
    NOT_AN_OBJECT
    # Of a required field, which is told with it.
    MISSING
    INVALID
    UNKNOWN_TYPE

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
    # The optional values that were wrong, a bit each in the order of WRONG_NAMES.
    int wrong

cdef struct Rooms:
    # For texts with escapes: of the event's id, and of any other.
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
