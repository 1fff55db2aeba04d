# cython: language_level=3
"""Numbers of packed values in C, aligned or not: little-endian, as the machine must be."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef inline uint16_t u16(const unsigned char *at) noexcept nogil:
    cdef uint16_t number
    memcpy(&number, at, 2)
    return number


cdef inline uint32_t u32(const unsigned char *at) noexcept nogil:
    cdef uint32_t number
    memcpy(&number, at, 4)
    return number


cdef inline uint64_t u64(const unsigned char *at) noexcept nogil:
    cdef uint64_t number
    memcpy(&number, at, 8)
    return number
