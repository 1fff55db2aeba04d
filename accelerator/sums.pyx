# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""models.sums, compiled, for values of the newest version; others take the plain form.

Pane rows are summed by their shape, such as "IIQ" (models.panes). models.dedup and
models.pane_windows document their place in a value.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from numpy import frombuffer, uint64

from models import dedup, sums
from models.counters import USER

from accelerator.keys cimport MAX_DIGITS, first_digit, partition_of
from accelerator.layer cimport Row, reels_fetch, value_of, value_text
from accelerator.lookup cimport LookupResult
from accelerator.numbers cimport u32, u64

cdef enum:
    PANE = 4
    MAX_COUNTERS = 16
    # Bytes in a user's value.
    HEADER = 4
    ID = 12
    TIME = 4
    # Rows that are prefetched.
    AHEAD = 8

if (HEADER, ID, TIME) != (dedup.HEADER_SIZE, dedup.ID_SIZE, dedup.TIME_SIZE):
    raise ImportError("the layout of models.dedup differs from the compiled one")


cdef class Sums:
    """See models.sums.Sums; `plain` handles the rare values."""

    cdef readonly object plain
    cdef int _version
    # Bytes before the pane rows; 0: a user's value, where ids add to them.
    cdef Py_ssize_t _header
    cdef int _counters
    cdef int[MAX_COUNTERS] _sizes
    cdef Py_ssize_t _row
    cdef object _windows, _made_with
    cdef long long _per_step

    def __init__(self, windows, plain, int version, Py_ssize_t header, str counters not None):
        if len(counters) > MAX_COUNTERS or set(counters) - set("IQ"):
            raise ImportError("the compiled form does not support these pane counters")
        self.plain, self._windows, self._per_step = plain, windows, windows.per_step
        self._made_with = version, header, counters
        self._version, self._header = version, header
        self._counters, self._row = len(counters), PANE
        for number, counter in enumerate(counters):
            self._sizes[number] = 4 if counter == "I" else 8
            self._row += self._sizes[number]

    def in_units(self, long long unit_ms):
        """See models.sums.Sums."""
        windows = self._windows.in_units(unit_ms)
        if windows is self._windows:
            return self
        return Sums(windows, self.plain.in_units(unit_ms), *self._made_with)

    def of(self, LookupResult values not None, long long stream_time, tuple windows not None):
        """See models.sums.Sums."""
        cdef Py_ssize_t count = len(windows), width = self._counters * count, number, known = 0, i
        cdef long long per_step = self._per_step
        cdef long long kept_from = self._windows.slices.kept_from(stream_time) * per_step
        cdef long long *bounds = <long long *> malloc(max(1, 2 * count) * sizeof(long long))
        cdef bytearray rows = PyByteArray_FromStringAndSize(
            NULL, values.count * width * sizeof(uint64_t)
        )
        cdef uint64_t *total = <uint64_t *> PyByteArray_AS_STRING(rows)
        cdef list numbers = []
        cdef Row *row
        try:
            if bounds == NULL:
                raise MemoryError
            for number, (first, end) in enumerate(windows):
                bounds[2 * number], bounds[2 * number + 1] = first * per_step, end * per_step
            for number in range(values.count):
                if number + AHEAD < values.count and values.rows[number + AHEAD] != NULL:
                    reels_fetch(values.rows[number + AHEAD])
                row = values.rows[number]
                if row == NULL or row.value_size < 0:
                    continue
                if not self._sum(row, kept_from, bounds, count, total + width * known):
                    rare = self.plain.of_one(value_of(row), stream_time, windows)
                    if rare is None:
                        continue
                    try:
                        for i in range(width):
                            total[width * known + i] = rare[i]
                    except OverflowError:
                        return self.plain.of(values, stream_time, windows)
                numbers.append(number)
                known += 1
        finally:
            free(bounds)
        return sums.Totals(
            numbers, frombuffer(rows, uint64, known * width).reshape(known, width)
        )

    cdef bint _sum(self, Row *row, long long kept_from, const long long *bounds, Py_ssize_t windows,
                   uint64_t *total) noexcept nogil:
        """Sum a value's rows; False: it is rare, and `total` is undefined."""
        cdef const unsigned char *data = value_text(row)
        cdef const unsigned char *end = data + row.value_size
        cdef const unsigned char *at
        cdef uint32_t pane
        cdef uint64_t count
        cdef Py_ssize_t window
        cdef int counter
        cdef uint64_t *sums
        if row.value_size < (self._header or HEADER) or data[0] != self._version:
            return False
        if self._header:
            at = data + self._header
        else:
            at = data + HEADER + (TIME if data[1] else 0) + ID * <Py_ssize_t> data[3]
        if end - at < self._row or (end - at) % self._row:
            return False
        pane = u32(end - self._row)
        if pane < kept_from:
            return False
        for counter in range(self._counters * <int> windows):
            total[counter] = 0
        while at < end:
            pane = u32(at)
            at += PANE
            for counter in range(self._counters):
                count = u32(at) if self._sizes[counter] == 4 else u64(at)
                at += self._sizes[counter]
                for window in range(windows):
                    if bounds[2 * window] <= pane < bounds[2 * window + 1]:
                        sums = total + window * self._counters + counter
                        sums[0] += count
                        if sums[0] < count:
                            return False
        return True


def user_sums(windows):
    """See models.sums.user_sums."""
    return Sums(windows, sums.user_sums(windows), USER.version, 0, USER.codes(USER.version))


def pane_sums(windows):
    """See models.sums.pane_sums."""
    entity, header = windows.entity, len(windows.empty)
    codes = entity.codes(entity.version)
    return Sums(windows, sums.pane_sums(windows), entity.version, header, codes)


def by_partition(list ids not None, uint32_t partitions):
    """See models.sums.by_partition."""
    cdef unsigned char[MAX_DIGITS] digits
    cdef unsigned long long number
    cdef Py_ssize_t place
    cdef int first
    cdef uint32_t partition
    cdef list lists = [None] * partitions
    cdef dict places = {}
    for place in range(len(ids)):
        number = ids[place]
        first = first_digit(number, digits)
        partition = partition_of(digits + first, MAX_DIGITS - first, partitions)
        some = lists[partition]
        if some is None:
            some = places[partition] = lists[partition] = []
        (<list> some).append(place)
    return places
