# cython: language_level=3
"""Keys in C: the decimal text of an id, and the partition that Kafka assigns to it."""

from libc.stdint cimport uint32_t

cdef enum:
    # Decimal digits of 2**64.
    MAX_DIGITS = 20
    # The longest key, of a sealed block: a user's key, a colon and three digits.
    MAX_KEY = 24


cdef inline int first_digit(unsigned long long number, unsigned char *digits) noexcept nogil:
    """Write `number` to the end of MAX_DIGITS bytes; return the index of its first digit."""
    cdef int first = MAX_DIGITS
    while True:
        first -= 1
        digits[first] = c"0" + number % 10
        number //= 10
        if number == 0:
            return first


cdef inline uint32_t murmur2(const unsigned char *data, uint32_t size) noexcept nogil:
    """Kafka's murmur2; see models.partitioner."""
    cdef uint32_t m = 0x5bd1e995U, h = 0x9747b28cU ^ size, k
    while size >= 4:
        k = data[0] | data[1] << 8 | data[2] << 16 | (<uint32_t> data[3]) << 24
        k *= m
        k ^= k >> 24
        k *= m
        h *= m
        h ^= k
        data += 4
        size -= 4
    if size == 3:
        h ^= data[2] << 16
    if size >= 2:
        h ^= data[1] << 8
    if size >= 1:
        h ^= data[0]
        h *= m
    h ^= h >> 13
    h *= m
    return h ^ h >> 15


cdef inline uint32_t partition_of(const unsigned char *key, uint32_t size,
                                  uint32_t partitions) noexcept nogil:
    return (murmur2(key, size) & 0x7fffffffU) % partitions
