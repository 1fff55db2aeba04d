# cython: language_level=3
"""The counters of models.counters in C: where each lies in a packed row, and what adds to it."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    MOST_COUNTERS = 24
    PANE = 4
    # Bytes of a pane and its counters.
    MOST_ROW = 196


cdef struct Field:
    # Behind the pane.
    int offset
    # 4 or 8.
    int size
    # The kind of events that add to it, and which of an event's amounts they add.
    int kind
    int amount


cdef struct Shape:
    int count
    # Bytes of the counters, and of them with a pane.
    int counters_size
    int row_size
    Field[MOST_COUNTERS] fields


cdef inline void count_event(const Shape *shape, int kind, const uint64_t *amounts,
                             unsigned char *counters) noexcept nogil:
    """Write what an event adds to each counter."""
    cdef const Field *field = shape.fields
    cdef const Field *end = field + shape.count
    cdef uint32_t small
    memset(counters, 0, shape.counters_size)
    while field < end:
        if field.kind == kind:
            if field.size == 8:
                memcpy(counters + field.offset, amounts + field.amount, 8)
            else:
                small = <uint32_t> min(amounts[field.amount], 0xFFFFFFFFU)
                memcpy(counters + field.offset, &small, 4)
        field += 1


cdef inline bint add_counters(const Shape *shape, unsigned char *sums,
                              const unsigned char *more) noexcept nogil:
    """Add to counters; False when one of them is full, and nothing is to be made of them."""
    cdef const Field *field = shape.fields
    cdef const Field *end = field + shape.count
    cdef uint32_t small, small_more
    cdef uint64_t large, large_more
    while field < end:
        if field.size == 8:
            memcpy(&large, sums + field.offset, 8)
            memcpy(&large_more, more + field.offset, 8)
            if large > 0xFFFFFFFFFFFFFFFFU - large_more:
                return False
            large += large_more
            memcpy(sums + field.offset, &large, 8)
        else:
            memcpy(&small, sums + field.offset, 4)
            memcpy(&small_more, more + field.offset, 4)
            if small > 0xFFFFFFFFU - small_more:
                return False
            small += small_more
            memcpy(sums + field.offset, &small, 4)
        field += 1
    return True


cdef int shape_of(entity, Shape *shape) except -1
