from libc.stdint cimport uint64_t

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


cdef struct Blocks:
    # What an event does to the blocks of its user: whether it seals ids in one, of a number.
    bint is_sealed
    int number
    unsigned char[BLOCK_SIZE] sealed
    # How many it deletes, from a number on.
    int gone
    int first
    # What is to be written of their index, to be let go; NULL: it is as before.
    Row *index


cdef class UserWindows:
    cdef readonly object windows
    cdef long long step
    # By how much panes' numbers grow in a step: more than 1 where the table was built with a finer one.
    cdef long long per_step
    cdef long long other_panes
    cdef long long horizon

    cdef bint asks_index(self, Row *old, long long stream_time) noexcept nogil
    cdef Outcome apply(self, Row *old, Row *index, const Key *key, int kind, long long t_ms,
                       const uint64_t *amounts, uint64_t id_hash, long long stream_time,
                       Row **new, Blocks *changed) noexcept nogil
    cdef bint apply_rare(self, object rows, bytes key, int kind, long long t_ms,
                         const uint64_t *amounts, uint64_t id_hash, long long stream_time) except -1


cdef Key index_key(const Key *user, unsigned char *text) noexcept nogil
cdef Key block_key(const Key *user, int number, unsigned char *text) noexcept nogil
