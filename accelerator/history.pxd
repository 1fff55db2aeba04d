from accelerator.layer cimport Key, Row


cdef enum:
    # Of a block of sealed ids.
    BLOCK_SIZE = 201


cdef enum Outcome:
    DUPLICATE
    APPLIED
    # models.user has to see to it.
    RARE
    NO_MEMORY
    # Its time has no place in a delta record.
    NO_PANE


cdef struct Sealed:
    # Whether an event sealed ids, in a block of this number.
    bint is_there
    int number
    unsigned char[BLOCK_SIZE] block


cdef class Histories:
    cdef readonly object windows
    cdef long long step
    cdef long long other_panes
    cdef long long horizon

    cdef Outcome apply(self, Row *old, const Key *key, int kind, long long t_ms, long long watched,
                       unsigned long long id_hash, long long stream_time, Row **new,
                       Sealed *sealed) noexcept nogil
    cdef bint apply_rare(self, object rows, bytes key, int kind, long long t_ms, long long watched,
                         unsigned long long id_hash, long long stream_time) except -1
