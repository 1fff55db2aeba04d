# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""tables.layers.LookupResult, compiled: it looks up many keys at a time."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, malloc

from accelerator.layer cimport (
    PREFETCHED_ROWS, Key, Keys, Layer, Row, evict, evict_all, hold, reels_fetch, row_from_bytes,
    value_of
)


cdef class LookupResult:
    """See tables.layers.LookupResult."""

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
        evict_all(self.rows, self.count)
        free(self._which)

    cdef void _look(self, Layer layer) noexcept nogil:
        """Find the keys that no earlier layer has."""
        cdef Py_ssize_t first = 0, end, number
        cdef uint32_t[PREFETCHED_ROWS] guesses
        cdef Key *keys = self._keys.keys
        cdef uint32_t guess
        cdef Row *row
        if layer.count == layer.dropped:
            return
        while first < self.count:
            end = min(first + PREFETCHED_ROWS, self.count)
            for number in range(first, end):
                if self.rows[number] == NULL:
                    reels_fetch(layer.first_slot(keys[number].hash))
            for number in range(first, end):
                guess = 0
                if self.rows[number] == NULL:
                    guess = layer.first_slot(keys[number].hash).number
                    if guess:
                        reels_fetch(layer.rows + guess - 1)
                guesses[number - first] = guess
            for number in range(first, end):
                if guesses[number - first]:
                    reels_fetch(layer.rows[guesses[number - first] - 1])
            for number in range(first, end):
                if guesses[number - first]:
                    row = layer.find(keys + number)
                    if row != NULL:
                        self.rows[number] = hold(row)
                        # The value is read soon.
                        reels_fetch(<char *> row + 64)
            first = end

    def fill(self, list values not None):
        """Set the values of the missing keys, in their order."""
        if len(values) != len(self.missing):
            raise ValueError("the number of values differs from the number of missing keys")
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
            evict_all(made, len(values))

    def renew(self, layers):
        """Replace values by those that the layers have now."""
        cdef LookupResult now = LookupResult(layers, self._keys)
        cdef Py_ssize_t number
        for number in range(self.count):
            if now.rows[number] != NULL:
                evict(self.rows[number])
                self.rows[number] = hold(now.rows[number])

    def __len__(self):
        return self.count

    def __getitem__(self, Py_ssize_t number):
        if not 0 <= number < self.count:
            raise IndexError("key index out of range")
        return value_of(self.rows[number])
