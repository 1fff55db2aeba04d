# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""tables.layers, compiled.

A row is found by two places in memory that are far apart, its slot and itself, and each takes the
processor as long as a hundred of its instructions. So keys are looked up many at a time, and what
the next step needs is asked for beforehand.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memcmp, memcpy

from accelerator.keys cimport MAX_DIGITS, first_digit

cdef extern from *:
    """
    #define reels_add(at) ((void) __atomic_add_fetch(at, 1, __ATOMIC_RELAXED))
    #define reels_subtract(at) __atomic_sub_fetch(at, 1, __ATOMIC_ACQ_REL)
    #define reels_fetch(at) __builtin_prefetch(at)
    """
    void reels_add(uint32_t *at) noexcept nogil
    uint32_t reels_subtract(uint32_t *at) noexcept nogil
    void reels_fetch(const void *at) noexcept nogil

cdef enum:
    FIRST_ROOM = 64
    SLOTS_A_ROW = 2
    # Keys looked up at a time: what is asked for has to stay in the nearest cache until then.
    AT_ONCE = 64
    # Rows are counted in 32 bits, slots are twice as many.
    MOST_ROWS = 1 << 30

#: Nobody outside can choose keys that fall into the same slots.
cdef uint64_t SEED = int.from_bytes(os.urandom(8), "little")


cdef Key key_from(const unsigned char *text, uint32_t size) noexcept nogil:
    """A key, whose text stays where it is. Hashed by multiplying and shifting, a word at a time."""
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
    """A row whose value is to be written, held once; NULL: there is no memory."""
    cdef Py_ssize_t size = max(value_size, 0)
    cdef Row *row = <Row *> malloc(sizeof(Row) + key.size + size)
    if row != NULL:
        row.holders, row.hash, row.key_size, row.value_size = 1, key.hash, key.size, value_size
        memcpy(key_text(row), key.text, key.size)
    return row


cdef Row *hold(Row *row) noexcept nogil:
    if row != NULL:
        reels_add(&row.holders)
    return row


cdef void let_go(Row *row) noexcept nogil:
    """Hold a row no more. Layers are dropped by any thread, others fold meanwhile."""
    if row != NULL and reels_subtract(&row.holders) == 0:
        free(row)


cdef object value_of(Row *row):
    if row == NULL or row.value_size < 0:
        return None
    return PyBytes_FromStringAndSize(<const char *> value_text(row), row.value_size)


cdef inline bytes _key(Row *row):
    return PyBytes_FromStringAndSize(<const char *> key_text(row), row.key_size)


cdef Key _key_from_bytes(key) except *:
    if not PyBytes_CheckExact(key):
        raise TypeError("a key is no bytes")
    return key_from(<const unsigned char *> PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))


cdef Row *row_from_bytes(const Key *key, value) except NULL:
    cdef Py_ssize_t size = -1
    if value is not None:
        if not PyBytes_CheckExact(value):
            raise TypeError("a value is no bytes")
        size = PyBytes_GET_SIZE(value)
    cdef Row *row = make_row(key, size)
    if row == NULL:
        raise MemoryError
    if size > 0:
        memcpy(value_text(row), PyBytes_AS_STRING(value), size)
    return row


cdef class Keys:
    """A sequence of keys: those of a list, or the decimal texts of up to `room` numbers."""

    def __init__(self, list texts=None, Py_ssize_t room=0):
        self._texts = texts
        self._room = room if texts is None else len(texts)
        self.keys = <Key *> malloc(max(1, self._room) * sizeof(Key))
        if self.keys == NULL:
            raise MemoryError
        if texts is None:
            self._digits = <unsigned char *> malloc(max(1, room) * MAX_DIGITS)
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
        """Append a number's text; there has to be room for it."""
        cdef unsigned char *digits = self._digits + self.count * MAX_DIGITS
        cdef int first = first_digit(number, digits)
        cdef Key *key = self.keys + self.count
        key[0] = key_from(digits + first, MAX_DIGITS - first)
        self.count += 1
        return key

    def __len__(self):
        return self.count

    def __getitem__(self, Py_ssize_t number):
        if not 0 <= number < self.count:
            raise IndexError("there are fewer keys")
        cdef Key *key = self.keys + number
        return PyBytes_FromStringAndSize(<const char *> key.text, key.size)


cdef class Layer:
    """Rows by key, in the order in which their keys came. None is ever taken out."""

    def __cinit__(self):
        self._room = FIRST_ROOM
        self.rows = <Row **> malloc(self._room * sizeof(Row *))
        self._slots = <Slot *> calloc(SLOTS_A_ROW * self._room, sizeof(Slot))
        if self.rows == NULL or self._slots == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t number
        if self.rows != NULL:
            for number in range(self.count):
                let_go(self.rows[number])
        free(self.rows)
        free(self._slots)

    cdef uint32_t _number(self, const Key *key, Py_ssize_t slot) noexcept nogil:
        """The number of a key's row, looked for from a slot on; 0: there is none."""
        cdef Py_ssize_t last = SLOTS_A_ROW * self._room - 1
        cdef Slot *at = self._slots + slot
        cdef Row *row
        while at.number:
            if at.hash == key.hash:
                row = self.rows[at.number - 1]
                if row.key_size == key.size and not memcmp(key_text(row), key.text, key.size):
                    return at.number
            slot = (slot + 1) & last
            at = self._slots + slot
        return 0

    cdef Row *find(self, const Key *key) noexcept nogil:
        """A row, not held for the caller; NULL: there is none."""
        cdef uint32_t number = self._number(key, key.hash & (SLOTS_A_ROW * self._room - 1))
        return self.rows[number - 1] if number else NULL

    cdef int put(self, Row *row) noexcept nogil:
        """Take a row over from who holds it; -1: there is no memory, and it is let go."""
        cdef Py_ssize_t last = SLOTS_A_ROW * self._room - 1
        cdef Py_ssize_t slot = row.hash & last
        cdef Key key = key_of_row(row)
        cdef uint32_t number = self._number(&key, slot)
        if number:
            let_go(self.rows[number - 1])
            self.rows[number - 1] = row
            return 0
        if self.count == self._room:
            if self._grow() < 0:
                let_go(row)
                return -1
            last = SLOTS_A_ROW * self._room - 1
            slot = row.hash & last
        while self._slots[slot].number:
            slot = (slot + 1) & last
        self.rows[self.count] = row
        self.count += 1
        self._slots[slot].hash, self._slots[slot].number = row.hash, <uint32_t> self.count
        return 0

    cdef int _grow(self) noexcept nogil:
        """Double the room."""
        cdef Py_ssize_t room = 2 * self._room, slot, number
        cdef Slot *slots
        cdef Row **rows
        if room > MOST_ROWS:
            return -1
        rows = <Row **> realloc(self.rows, room * sizeof(Row *))
        if rows == NULL:
            return -1
        self.rows = rows
        slots = <Slot *> calloc(SLOTS_A_ROW * room, sizeof(Slot))
        if slots == NULL:
            return -1
        for number in range(SLOTS_A_ROW * self._room):
            if self._slots[number].number:
                slot = self._slots[number].hash & (SLOTS_A_ROW * room - 1)
                while slots[slot].number:
                    slot = (slot + 1) & (SLOTS_A_ROW * room - 1)
                slots[slot] = self._slots[number]
        free(self._slots)
        self._slots, self._room = slots, room
        return 0

    def __len__(self):
        return self.count

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
        """The value of a key, or what to return otherwise."""
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
            yield _key(self.rows[number])

    def keys(self):
        """All keys."""
        return iter(self)

    def items(self):
        """All keys and values."""
        cdef Py_ssize_t number
        for number in range(self.count):
            yield _key(self.rows[number]), value_of(self.rows[number])

    def in_order(self):
        """All keys and values in the order of the keys; no row may be added meanwhile."""
        cdef Py_ssize_t number, count = self.count
        cdef Row **rows = <Row **> malloc(max(1, count) * sizeof(Row *))
        if rows == NULL:
            raise MemoryError
        try:
            memcpy(rows, self.rows, count * sizeof(Row *))
            with nogil:
                qsort(rows, count, sizeof(Row *), _compare)
            for number in range(count):
                yield _key(rows[number]), value_of(rows[number])
        finally:
            free(rows)

    def update(self, Layer newer not None):
        """Take over the rows of a newer layer."""
        cdef Py_ssize_t number
        for number in range(newer.count):
            if number + AT_ONCE < newer.count:
                reels_fetch(
                    self._slots
                    + (newer.rows[number + AT_ONCE].hash & (SLOTS_A_ROW * self._room - 1))
                )
            if self.put(hold(newer.rows[number])) < 0:
                raise MemoryError


cdef int _compare(const void *one, const void *other) noexcept nogil:
    cdef Row *a = (<Row **> one)[0]
    cdef Row *b = (<Row **> other)[0]
    cdef int order = memcmp(key_text(a), key_text(b), min(a.key_size, b.key_size))
    if order == 0:
        return <int> (a.key_size > b.key_size) - <int> (a.key_size < b.key_size)
    return order


cdef class Found:
    """See tables.layers.Found."""

    def __init__(self, layers, keys):
        self._keys = keys if isinstance(keys, Keys) else Keys(keys)
        self.count = self._keys.count
        self.missing = []
        self.rows = <Row **> calloc(max(1, self.count), sizeof(Row *))
        if self.rows == NULL:
            raise MemoryError
        cdef Py_ssize_t number
        cdef Layer layer
        cdef dict numbers
        for layer in layers:
            self._look(layer)
        for number in range(self.count):
            if self.rows[number] == NULL:
                break
        else:
            return
        self._which = <Py_ssize_t *> malloc(self.count * sizeof(Py_ssize_t))
        if self._which == NULL:
            raise MemoryError
        numbers = {}
        for number in range(number, self.count):
            if self.rows[number] == NULL:
                key = self._keys[number]
                which = numbers.get(key)
                if which is None:
                    which = numbers[key] = len(numbers)
                self._which[number] = which
        self.missing = list(numbers)

    def __dealloc__(self):
        cdef Py_ssize_t number
        if self.rows != NULL:
            for number in range(self.count):
                let_go(self.rows[number])
        free(self.rows)
        free(self._which)

    cdef int _look(self, Layer layer) noexcept nogil:
        """Find in a layer what none before it has."""
        cdef Py_ssize_t last = SLOTS_A_ROW * layer._room - 1, first = 0, end, number
        cdef uint32_t[AT_ONCE] guesses
        cdef Slot *slot
        cdef Key *key
        cdef Row *row
        if layer.count == 0:
            return 0
        while first < self.count:
            end = min(first + AT_ONCE, self.count)
            for number in range(first, end):
                if self.rows[number] == NULL:
                    reels_fetch(layer._slots + (self._keys.keys[number].hash & last))
            for number in range(first, end):
                guesses[number - first] = 0
                if self.rows[number] == NULL:
                    key = self._keys.keys + number
                    slot = layer._slots + (key.hash & last)
                    guesses[number - first] = slot.number
                    if slot.number:
                        reels_fetch(layer.rows + slot.number - 1)
            for number in range(first, end):
                if guesses[number - first]:
                    reels_fetch(layer.rows[guesses[number - first] - 1])
            for number in range(first, end):
                if guesses[number - first]:
                    row = layer.find(self._keys.keys + number)
                    if row != NULL:
                        self.rows[number] = hold(row)
                        # The value is read soon.
                        reels_fetch(<char *> row + 64)
            first = end
        return 0

    def fill(self, list values not None):
        """Say what the missing keys' values are, in their order."""
        if len(values) != len(self.missing):
            raise ValueError("there are as many values as keys are missing")
        cdef Py_ssize_t number, which
        cdef Row **made
        if not values:
            return
        made = <Row **> calloc(len(values), sizeof(Row *))
        if made == NULL:
            raise MemoryError
        try:
            for number in range(self.count):
                if self.rows[number] == NULL:
                    which = self._which[number]
                    value = values[which]
                    if value is not None:
                        if made[which] == NULL:
                            made[which] = row_from_bytes(self._keys.keys + number, value)
                        self.rows[number] = hold(made[which])
        finally:
            for number in range(len(values)):
                let_go(made[number])
            free(made)

    def renew(self, layers):
        """Take what the layers say now of keys that any of them has."""
        cdef Found now = Found(layers, self._keys)
        cdef Py_ssize_t number
        for number in range(self.count):
            if now.rows[number] != NULL:
                let_go(self.rows[number])
                self.rows[number] = hold(now.rows[number])

    def __len__(self):
        return self.count

    def __getitem__(self, Py_ssize_t number):
        if not 0 <= number < self.count:
            raise IndexError("there are fewer keys")
        return value_of(self.rows[number])
