# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Records in the bytes of a fetch; they become Python objects only on access.

The layout is version 2 of Kafka's record batches (KIP-98): a header of fixed size, and records
whose numbers are zigzag varints.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int32_t, int64_t

from models.cut import CUT_BYTES, CutBytes, CutHeaders

cdef enum:
    # The size of a batch's header, and the positions in it of attributes, first and latest
    # timestamp, and number of records. It begins with the base offset.
    HEADER = 61
    ATTRIBUTES = 22
    FIRST_TIMESTAMP = 27
    MAX_TIMESTAMP = 35
    COUNT = 57
    # Bit in the low byte of the attributes: the broker's time applies, not the producer's.
    LOG_APPEND_TIME = 8
    # Minimum of a record: length, attributes, four numbers and the number of headers, a byte each.
    SHORTEST = 7
    ROOM = 64
    # Size of a null text. A smaller number is the negated original size of a truncated text.
    NONE = -1

#: Bytes kept of a truncated text.
cdef Py_ssize_t CUT = CUT_BYTES


cdef inline int64_t _big_endian(const unsigned char *at, int size) noexcept nogil:
    cdef int64_t value = -1 if at[0] & 0x80 else 0
    cdef int i
    for i in range(size):
        value = value << 8 | at[i]
    return value


cdef inline const unsigned char *_varint(const unsigned char *at, const unsigned char *end,
                                         int64_t *number) noexcept nogil:
    """Return the end of the number at `at`; NULL if it does not end by `end`."""
    cdef unsigned long long raw = 0
    cdef int shift = 0
    while at < end and shift < 64:
        raw |= (<unsigned long long> (at[0] & 0x7f)) << shift
        if not at[0] & 0x80:
            number[0] = <int64_t> (raw >> 1) ^ -<int64_t> (raw & 1)
            return at + 1
        at += 1
        shift += 7
    return NULL


cdef inline const unsigned char *_text(const unsigned char *at, const unsigned char *end,
                                       const unsigned char **text,
                                       Py_ssize_t *size) noexcept nogil:
    """Return the end of the text at `at`, after its size (-1: null); NULL if it exceeds `end`."""
    cdef int64_t length
    at = _varint(at, end, &length)
    if at == NULL or length < -1 or length > end - at:
        return NULL
    text[0] = at
    size[0] = length
    return at + length if length > 0 else at


cdef const unsigned char *_read(const unsigned char *at, const unsigned char *end,
                                Place *place) noexcept nogil:
    """Return the end of a record; its offset and time are relative to the batch. NULL: damaged."""
    cdef int64_t length, timestamp, offset
    at = _varint(at, end, &length)
    if at == NULL or length < 1 or length > end - at:
        return NULL
    end = at + length
    at = _varint(at + 1, end, &timestamp)  # skips its attributes, which are unused
    if at != NULL:
        at = _varint(at, end, &offset)
    if at != NULL:
        at = _text(at, end, &place.key, &place.key_size)
    if at != NULL:
        at = _text(at, end, &place.value, &place.value_size)
    if at == NULL or at == end:
        return NULL
    place.offset, place.timestamp = offset, timestamp
    place.headers, place.end = at, end
    return end


cdef object _content(const unsigned char *text, Py_ssize_t size):
    """Return a key or a value; None: null."""
    if size == NONE:
        return None
    if size < 0:
        return CutBytes.of(PyBytes_FromStringAndSize(<const char *> text, CUT), -size)
    return PyBytes_FromStringAndSize(<const char *> text, size)


cdef class Record:
    """See streaming.kafka.records.Record."""

    cdef readonly long long offset, timestamp
    cdef readonly object key, value, headers


cdef class Records:
    """A sequence of records; slices of it share its bytes."""

    def __init__(self):
        self._contents = []

    def __dealloc__(self):
        if self._whole is None:
            PyMem_Free(self.places)

    def add(self, bytes data not None, Py_ssize_t start, Py_ssize_t end, long long first,
            cut=None):
        """Append the records of the batch between `start` and `end`, from the offset `first` on.

        It must not be compressed. `cut`, if any, describes the truncated parts of its only record.

        Raises ValueError if the records do not fit the batch.
        """
        if start < 0 or end > PyBytes_GET_SIZE(data) or end - start < HEADER:
            raise ValueError("a record batch is shorter than its header")
        cdef const unsigned char *header = <const unsigned char *> PyBytes_AS_STRING(data) + start
        cdef const unsigned char *at = header + HEADER
        cdef const unsigned char *stop = header + (end - start)
        cdef int64_t count = _big_endian(header + COUNT, 4)
        if count < 0 or count > (stop - at) // SHORTEST:
            raise ValueError("a record batch is too short for the record count in its header")
        self._reserve(count)
        self._contents.append(data)
        cdef int64_t base_offset = _big_endian(header, 8)
        cdef int64_t base_timestamp = _big_endian(header + FIRST_TIMESTAMP, 8)
        cdef bint is_appended = header[ATTRIBUTES] & LOG_APPEND_TIME
        cdef int64_t appended = _big_endian(header + MAX_TIMESTAMP, 8)
        cdef int64_t i
        cdef Place *place
        for i in range(count):
            place = self.places + self.count
            at = _read(at, stop, place)
            if at == NULL:
                raise ValueError("a record does not fit its batch")
            place.offset += base_offset
            place.timestamp = appended if is_appended else place.timestamp + base_timestamp
            if cut is not None:
                if count != 1:
                    raise ValueError("a truncated record must be the only one in its batch")
                self._cut(place, cut)
            if place.offset >= first:
                self.count += 1

    cdef int _cut(self, Place *place, cut) except -1:
        if cut.value:
            place.value_size = -<Py_ssize_t> cut.value
        if cut.key:
            place.key_size = -<Py_ssize_t> cut.key
        if cut.headers:
            if self._omitted is None:
                self._omitted = {}
            self._omitted[place.offset] = cut.headers
        return 0

    cdef int _reserve(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t needed = self.count + more
        cdef Place *places
        if needed <= self._room:
            return 0
        needed = max(needed, 2 * self._room, ROOM)
        places = <Place *> PyMem_Realloc(self.places, needed * sizeof(Place))
        if places == NULL:
            raise MemoryError
        self.places, self._room = places, needed
        return 0

    def __len__(self):
        return self.count

    def __getitem__(self, place):
        cdef Records part
        cdef Py_ssize_t number
        if isinstance(place, slice):
            start, stop, step = place.indices(self.count)
            if step != 1:
                raise ValueError("a slice of records must have step 1")
            part = Records.__new__(Records)
            part._whole = self if self._whole is None else self._whole
            part.places, part.count = self.places + <Py_ssize_t> start, max(0, stop - start)
            part._omitted = self._omitted
            return part
        number = place
        if number < 0:
            number += self.count
        if not 0 <= number < self.count:
            raise IndexError("record index out of range")
        return self.record(number)

    def __iter__(self):
        cdef Py_ssize_t number
        for number in range(self.count):
            yield self.record(number)

    cdef object value(self, Py_ssize_t number):
        cdef Place *place = self.places + number
        return _content(place.value, place.value_size)

    cdef object record(self, Py_ssize_t number):
        cdef Place *place = self.places + number
        cdef Record record = Record.__new__(Record)
        record.offset, record.timestamp = place.offset, place.timestamp
        record.key = _content(place.key, place.key_size)
        record.value = self.value(number)
        record.headers = _headers(place)
        if self._omitted is not None and place.offset in self._omitted:
            record.headers = CutHeaders.of(record.headers, self._omitted[place.offset])
        return record


cdef list _headers(Place *place):
    cdef const unsigned char *at = place.headers
    cdef const unsigned char *name
    cdef const unsigned char *value
    cdef Py_ssize_t name_size, value_size
    cdef int64_t count
    cdef list headers = []
    at = _varint(at, place.end, &count)
    while at != NULL and count > 0:
        at = _text(at, place.end, &name, &name_size)
        if at != NULL and name_size >= 0:
            at = _text(at, place.end, &value, &value_size)
            if at != NULL:
                headers.append((
                    # Otherwise one record with an invalid name would stop its partition.
                    PyBytes_FromStringAndSize(<const char *> name, name_size).decode(
                        errors="replace"
                    ),
                    PyBytes_FromStringAndSize(<const char *> value, value_size)
                    if value_size >= 0 else None,
                ))
        count -= 1
    return headers
