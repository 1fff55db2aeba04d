from libc.stdint cimport uint64_t

from accelerator.layer cimport Key, Row


cdef enum:
    # Bytes of a block of sealed ids.
    BLOCK_SIZE = 201


cdef enum Outcome:
    DUPLICATE
    APPLIED
    # models.user must handle it.
    RARE
    NO_MEMORY
    # Its time does not fit a delta record.
    NO_PANE


cdef struct Blocks:
    # Changes to the blocks of an event's user: whether it seals ids in a block, and its number.
    bint is_sealed
    int number
    unsigned char[BLOCK_SIZE] sealed
    # Number of deleted blocks, and the number of the first.
    int gone
    int first
    # The new row of their index, which the caller must evict or put; NULL: unchanged.
    Row *index


cdef class UserWindows:
    cdef readonly object windows
    cdef long long step
    # Pane numbers per step: more than 1 if the table was built with a finer step.
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
