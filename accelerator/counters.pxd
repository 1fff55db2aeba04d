# cython: language_level=3
"""models.counters in C: the offset of each counter in a packed row, and the events it counts."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from accelerator.numbers cimport u32, u64
from accelerator.scan cimport KINDS

cdef enum:
    MAX_FIELDS = 24
    PANE = 4
    # Bytes of a pane and its counters.
    MAX_ROW_BYTES = 196


cdef struct Field:
    # Bytes after the pane number.
    int offset
    # Bytes: 4 or 8.
    int size
    # Index of the event's amount that is added.
    int amount


cdef struct Shape:
    int count
    # Bytes of a pane and the counters.
    int row_size
    # In the order of the kinds of events that add to them.
    Field[MAX_FIELDS] fields
    # Per kind the index of its first field; its last is before the next kind's first.
    int[KINDS + 1] first


cdef inline void _add(const Field *field, unsigned char *counters, uint64_t more) noexcept nogil:
    cdef unsigned char *at = counters + field.offset
    cdef uint64_t sum
    cdef uint32_t small
    if field.size == 8:
        sum = u64(at) + more
        if sum < more:
            sum = 0xFFFFFFFFFFFFFFFFU
        memcpy(at, &sum, 8)
    else:
        sum = u32(at) + min(more, 0xFFFFFFFFU)
        small = <uint32_t> min(sum, 0xFFFFFFFFU)
        memcpy(at, &small, 4)


cdef inline bint counts_kind(const Shape *shape, int kind) noexcept nogil:
    """Whether events of a kind add to any counter."""
    return shape.first[kind] < shape.first[kind + 1]


cdef inline void count_event(const Shape *shape, int kind, const uint64_t *amounts,
                             unsigned char *counters) noexcept nogil:
    """Add an event to counters; each stops at its maximum."""
    cdef const Field *field = shape.fields + shape.first[kind]
    cdef const Field *end = shape.fields + shape.first[kind + 1]
    while field < end:
        _add(field, counters, amounts[field.amount])
        field += 1


cdef inline void add_counters(const Shape *shape, unsigned char *counters,
                              const unsigned char *more) noexcept nogil:
    """Add counters to counters; each stops at its maximum."""
    cdef const Field *field = shape.fields
    cdef const Field *end = field + shape.count
    while field < end:
        _add(field, counters, u64(more + field.offset) if field.size == 8
             else u32(more + field.offset))
        field += 1


cdef int shape_of(entity, Shape *shape) except -1
cdef int read_amounts(metadata, uint64_t *amounts) except -1
