# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""tables.layers, compiled: hash tables of rows that are not Python objects."""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memcmp, memcpy

from accelerator.keys cimport MAX_DIGITS, MAX_KEY, first_digit

cdef extern from "Python.h":
    void *PyObject_Malloc(size_t size) noexcept nogil
    void PyObject_Free(void *at) noexcept nogil

cdef enum:
    FIRST_ROOM = 64
    # Slots number rows in 32 bits, and there are twice as many slots.
    MAX_ROWS = 1 << 30

#: Bytes of memory per row besides key and value: the struct, the rounding of its size, the pointer
#: to it, and up to four slots.
ROW_SIZE = sizeof(Row) + 8 + sizeof(Row *) + 2 * SLOTS_PER_ROW * sizeof(Slot)

#: Random, so that nobody can choose keys that fall into the same slots.
cdef uint64_t SEED = int.from_bytes(os.urandom(8), "little")


cdef Key key_from(const unsigned char *text, uint32_t size) noexcept nogil:
    """Return a key that points to `text`; the hash multiplies and shifts, a word at a time."""
    cdef Key key
    cdef uint64_t hashed = SEED ^ size, word
    cdef uint32_t left = size
    key.text, key.size = text, size
    while left:
        word = 0
        memcpy(&word, text, min(left, 8))
        hashed = (hashed ^ word) * 0x9E3779B97F4A7C15U
        hashed ^= hashed >> 32
        text += 8
        left -= min(left, 8)
    key.hash = <uint32_t> (hashed * 0x9E3779B97F4A7C15U >> 32)
    return key


cdef inline Key key_of_row(Row *row) noexcept nogil:
    cdef Key key
    key.text, key.size, key.hash = key_text(row), row.key_size, row.hash
    return key


cdef Row *make_row(const Key *key, Py_ssize_t value_size) noexcept nogil:
    """Return a row with one reference, whose value must be written; NULL: no memory."""
    cdef Py_ssize_t size = max(value_size, 0)
    cdef Row *row = <Row *> PyObject_Malloc(sizeof(Row) + key.size + size)
    if row != NULL:
        row.holders, row.hash, row.key_size, row.value_size = 1, key.hash, key.size, value_size
        row.linked = NULL
        memcpy(key_text(row), key.text, key.size)
    return row


cdef Row *hold(Row *row) noexcept nogil:
    if row != NULL:
        row.holders += 1
    return row


cdef void evict(Row *row) noexcept nogil:
    """Drop a reference to a row, and free the row with its last one."""
    if row != NULL:
        row.holders -= 1
        if row.holders == 0:
            evict(row.linked)
            PyObject_Free(row)


cdef void evict_all(Row **rows, Py_ssize_t count) noexcept nogil:
    """Drop a reference to each row, and free the list."""
    cdef Py_ssize_t number
    if rows != NULL:
        for number in range(count):
            evict(rows[number])
    free(rows)


cdef inline Py_ssize_t _linked_size(Row *row) noexcept nogil:
    return 0 if row.linked == NULL else max(0, row.linked.value_size)


cdef object value_of(Row *row):
    if row == NULL or row.value_size < 0:
        return None
    return PyBytes_FromStringAndSize(<const char *> value_text(row), row.value_size)


cdef inline bytes _key(Row *row):
    return PyBytes_FromStringAndSize(<const char *> key_text(row), row.key_size)


cdef Key _key_from_bytes(key) except *:
    if not PyBytes_CheckExact(key):
        raise TypeError("a key must be bytes")
    return key_from(<const unsigned char *> PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))


cdef Row *row_from_bytes(const Key *key, value) except NULL:
    cdef Py_ssize_t size = -1
    if value is not None:
        if not PyBytes_CheckExact(value):
            raise TypeError("a value must be bytes")
        size = PyBytes_GET_SIZE(value)
    cdef Row *row = make_row(key, size)
    if row == NULL:
        raise MemoryError
    if size > 0:
        memcpy(value_text(row), PyBytes_AS_STRING(value), size)
    return row


cdef class Keys:
    """A sequence of keys: a list, or up to `room` decimal texts of numbers and copied keys."""

    def __init__(self, list texts=None, Py_ssize_t room=0):
        self._texts = texts
        self.keys = <Key *> malloc(max(1, room if texts is None else len(texts)) * sizeof(Key))
        if self.keys == NULL:
            raise MemoryError
        if texts is None:
            self._digits = <unsigned char *> malloc(max(1, room) * MAX_KEY)
            if self._digits == NULL:
                raise MemoryError
            return
        for text in texts:
            self.keys[self.count] = _key_from_bytes(text)
            self.count += 1

    def __dealloc__(self):
        free(self.keys)
        free(self._digits)

    cdef Key *add(self, unsigned long long number) noexcept nogil:
        """Append a number's text, and return the key; there must be room for it."""
        cdef unsigned char *digits = self._digits + self.count * MAX_KEY
        cdef int first = first_digit(number, digits)
        cdef Key *key = self.keys + self.count
        key[0] = key_from(digits + first, MAX_DIGITS - first)
        self.count += 1
        return key

    cdef void copy(self, const Key *key) noexcept nogil:
        """Append a key of up to MAX_KEY bytes; there must be room for it."""
        cdef unsigned char *text = self._digits + self.count * MAX_KEY
        memcpy(text, key.text, key.size)
        self.keys[self.count] = key[0]
        self.keys[self.count].text = text
        self.count += 1

    def __len__(self):
        return self.count

    def __getitem__(self, Py_ssize_t number):
        if not 0 <= number < self.count:
            raise IndexError("key index out of range")
        cdef Key *key = self.keys + number
        return PyBytes_FromStringAndSize(<const char *> key.text, key.size)


cdef class Layer:
    """Rows by key, in the order in which their keys were added."""

    def __cinit__(self):
        self._room = FIRST_ROOM
        self.rows = <Row **> malloc(self._room * sizeof(Row *))
        self._slots = <Slot *> calloc(SLOTS_PER_ROW * self._room, sizeof(Slot))
        if self.rows == NULL or self._slots == NULL:
            raise MemoryError

    def __dealloc__(self):
        evict_all(self.rows, self.count)
        free(self._slots)

    cdef Slot *first_slot(self, uint32_t hashed) noexcept nogil:
        """Return the slot where the search for a row starts."""
        return self._slots + (hashed & (SLOTS_PER_ROW * self._room - 1))

    cdef Slot *_slot(self, const Key *key) noexcept nogil:
        """Return the slot of a key's row, or the empty one where it would be."""
        cdef Slot *at = self.first_slot(key.hash)
        cdef Slot *end = self._slots + SLOTS_PER_ROW * self._room
        cdef Row *row
        while at.number:
            if at.hash == key.hash:
                row = self.rows[at.number - 1]
                if row != NULL and row.key_size == key.size \
                        and not memcmp(key_text(row), key.text, key.size):
                    break
            at += 1
            if at == end:
                at = self._slots
        return at

    cdef Row *find(self, const Key *key) noexcept nogil:
        """Return a row, without a reference for the caller; NULL: there is none."""
        cdef uint32_t number = self._slot(key).number
        return self.rows[number - 1] if number else NULL

    cdef int put(self, Row *row) noexcept nogil:
        """Add a row with the caller's reference; -1: no memory, and the reference is dropped."""
        cdef Key key = key_of_row(row)
        cdef Slot *slot = self._slot(&key)
        self.linked_bytes += _linked_size(row)
        if slot.number:
            self.linked_bytes -= _linked_size(self.rows[slot.number - 1])
            evict(self.rows[slot.number - 1])
            self.rows[slot.number - 1] = row
            return 0
        if self.count == self._room:
            if self._grow() < 0:
                evict(row)
                return -1
            slot = self._slot(&key)
        self.rows[self.count] = row
        self.count += 1
        slot.hash, slot.number = row.hash, <uint32_t> self.count
        return 0

    cdef int _grow(self) noexcept nogil:
        """Double the room."""
        cdef Py_ssize_t room = 2 * self._room, slot, number
        cdef Slot *slots
        cdef Row **rows
        if room > MAX_ROWS:
            return -1
        rows = <Row **> realloc(self.rows, room * sizeof(Row *))
        if rows == NULL:
            return -1
        self.rows = rows
        slots = <Slot *> calloc(SLOTS_PER_ROW * room, sizeof(Slot))
        if slots == NULL:
            return -1
        for number in range(SLOTS_PER_ROW * self._room):
            if self._slots[number].number:
                slot = self._slots[number].hash & (SLOTS_PER_ROW * room - 1)
                while slots[slot].number:
                    slot = (slot + 1) & (SLOTS_PER_ROW * room - 1)
                slots[slot] = self._slots[number]
        free(self._slots)
        self._slots, self._room = slots, room
        return 0

    def __len__(self):
        return self.count - self.dropped

    def __contains__(self, key):
        cdef Key wanted = _key_from_bytes(key)
        return self.find(&wanted) != NULL

    def __getitem__(self, key):
        cdef Key wanted = _key_from_bytes(key)
        cdef Row *row = self.find(&wanted)
        if row == NULL:
            raise KeyError(key)
        return value_of(row)

    def get(self, key, otherwise=None):
        """Return the value of a key, or `otherwise`."""
        cdef Key wanted = _key_from_bytes(key)
        cdef Row *row = self.find(&wanted)
        return otherwise if row == NULL else value_of(row)

    def __setitem__(self, key, value):
        cdef Key named = _key_from_bytes(key)
        if self.put(row_from_bytes(&named, value)) < 0:
            raise MemoryError

    def __iter__(self):
        cdef Py_ssize_t number
        for number in range(self.count):
            if self.rows[number] != NULL:
                yield _key(self.rows[number])

    def keys(self):
        """Iterate over the keys."""
        return iter(self)

    def items(self):
        """Iterate over the keys and values."""
        cdef Py_ssize_t number
        for number in range(self.count):
            if self.rows[number] != NULL:
                yield _key(self.rows[number]), value_of(self.rows[number])

    cdef void _prefetch(self, Layer newer, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
        """Prefetch some rows of a newer layer, and the rows with the same keys."""
        cdef Py_ssize_t number
        cdef uint32_t old
        for number in range(first, end):
            reels_fetch(newer.rows[number])
        for number in range(first, end):
            if newer.rows[number] != NULL:
                reels_fetch(self.first_slot(newer.rows[number].hash))
        for number in range(first, end):
            if newer.rows[number] != NULL:
                old = self.first_slot(newer.rows[number].hash).number
                if old:
                    reels_fetch(self.rows[old - 1])

    def update(self, Layer newer not None):
        """Add the rows of a newer layer, in place of those with the same keys."""
        cdef Py_ssize_t first = 0, end, number
        while first < newer.count:
            end = min(first + PREFETCHED_ROWS, newer.count)
            self._prefetch(newer, first, end)
            for number in range(first, end):
                if newer.rows[number] != NULL and self.put(hold(newer.rows[number])) < 0:
                    raise MemoryError
            first = end

    def drop(self, Layer newer not None, Py_ssize_t first=0):
        """Drop the rows whose keys a newer layer has, from its row `first` on."""
        cdef Py_ssize_t end, number
        cdef uint32_t old
        cdef Key key
        first = max(first, 0)
        while first < newer.count and self.dropped < self.count:
            end = min(first + PREFETCHED_ROWS, newer.count)
            self._prefetch(newer, first, end)
            for number in range(first, end):
                if newer.rows[number] == NULL:
                    continue
                key = key_of_row(newer.rows[number])
                old = self._slot(&key).number
                if old:
                    self.linked_bytes -= _linked_size(self.rows[old - 1])
                    evict(self.rows[old - 1])
                    self.rows[old - 1] = NULL
                    self.dropped += 1
            first = end


cdef int _compare(const void *one, const void *other) noexcept nogil:
    cdef Row *a = (<Row **> one)[0]
    cdef Row *b = (<Row **> other)[0]
    cdef int order = memcmp(key_text(a), key_text(b), min(a.key_size, b.key_size))
    if order == 0:
        return <int> (a.key_size > b.key_size) - <int> (a.key_size < b.key_size)
    return order


cdef class SortedEntries:
    """See tables.layers.SortedEntries."""

    cdef Layer _layer
    cdef Row **_rows
    cdef Py_ssize_t _count, _next

    def __init__(self, Layer layer not None):
        cdef Py_ssize_t number
        self._layer = layer
        self._rows = <Row **> malloc(max(1, layer.count) * sizeof(Row *))
        if self._rows == NULL:
            raise MemoryError
        for number in range(layer.count):
            if layer.rows[number] != NULL:
                self._rows[self._count] = layer.rows[number]
                self._count += 1
        with nogil:
            qsort(self._rows, self._count, sizeof(Row *), _compare)

    def __dealloc__(self):
        free(self._rows)

    def put_into(self, batch, Py_ssize_t most):
        """See models._protocols.SortedEntries."""
        cdef Py_ssize_t first = self._next
        cdef Row *row
        put, delete = batch.put, batch.delete
        while self._next < self._count and self._next - first < most:
            row = self._rows[self._next]
            if row.value_size < 0:
                delete(_key(row))
            else:
                put(_key(row), value_of(row))
            self._next += 1
        return self._next < self._count
