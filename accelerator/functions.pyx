# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Users' rows as the plain functions of reels keep them, compiled."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t

from accelerator.history cimport (
    APPLIED, DUPLICATE, NO_MEMORY, RARE, Blocks, Histories, Outcome, index_key
)
from accelerator.keys cimport MAX_DIGITS, MAX_KEY, first_digit
from accelerator.layer cimport Key, Layer, Row, evict, key_from
from accelerator.scan cimport AMOUNTS

from models.entity import AMOUNTS as _AMOUNTS
from models.schema import EVENT_TYPES

cdef list ADDED = list(_AMOUNTS.values())


cdef class UserRows:
    """See models.user_rows.UserRows."""

    cdef Histories _histories
    cdef Layer _rows

    def __init__(self, windows):
        self._histories = Histories(windows)
        self._rows = Layer()

    def __len__(self):
        return self._rows.count

    def get(self, bytes key not None):
        return self._rows.get(key)

    def apply(self, event, long long t_ms, unsigned long long id_hash, long long stream_time):
        cdef unsigned char[MAX_DIGITS] digits
        cdef unsigned char[MAX_KEY] text
        cdef int first = first_digit(event.user_id, digits)
        cdef Key key = key_from(digits + first, MAX_DIGITS - first), named
        cdef int kind = EVENT_TYPES.index(event.event_type)
        cdef uint64_t[AMOUNTS] amounts
        cdef int amount
        cdef Row *old = self._rows.find(&key)
        cdef Row *index = NULL
        cdef Row *new = NULL
        cdef Blocks changed
        cdef Outcome outcome
        for amount in range(AMOUNTS):
            amounts[amount] = ADDED[amount](event.metadata)
        if self._histories.asks_index(old, stream_time):
            index = old.companion
            if index == NULL:
                named = index_key(&key, text)
                index = self._rows.find(&named)
        outcome = self._histories.apply(
            old, index, &key, kind, t_ms, amounts, id_hash, stream_time, &new, &changed
        )
        if outcome == DUPLICATE:
            return False
        if outcome == NO_MEMORY:
            raise MemoryError
        if outcome == APPLIED:
            if not (changed.is_sealed or changed.gone or changed.index != NULL):
                if self._rows.put(new) < 0:
                    raise MemoryError
                return True
            # Blocks come and go with every sixteenth event of a busy user: the plain form does that.
            evict(new)
            evict(changed.index)
        return self._histories.apply_rare(
            self._rows, PyBytes_FromStringAndSize(<const char *> key.text, key.size), kind, t_ms,
            amounts, id_hash, stream_time
        )

    def sweep(self, long long stream_time):
        cdef Layer kept = Layer()
        is_expired = self._histories.windows.is_expired
        for key, row in self._rows.items():
            if row and not is_expired(row, stream_time):
                kept[key] = row
        self._rows = kept
