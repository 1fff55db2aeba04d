# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""models.delta_chunk and models.deltas.DeltaAccumulator, compiled.

models.deltas and models.pane_windows document the layouts and handle the rare cases; this gives the
same bytes.
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
)
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

import struct

from models import deltas, video
from models.counters import VIDEO
from models.deltas import renewed

from accelerator.counters cimport MAX_ROW_BYTES, PANE, Shape, add_counters, count_event, shape_of
from accelerator.keys cimport MAX_DIGITS, first_digit, partition_of
from accelerator.layer cimport (
    Key, Keys, Layer, Row, evict, make_row, row_from_bytes, value_of, value_text
)
from accelerator.lookup cimport LookupResult
from accelerator.numbers cimport u32, u64
from accelerator.user cimport APPLIED, NO_MEMORY, NO_PANE, Outcome

cdef enum:
    DELTA_HEADER = 16
    FIRST_ROOM = 256
    SLOTS_PER_ROW = 2

#: All panes are below.
cdef long long END_OF_PANES = video.END_OF_PANES

cdef int64_t MAX_TIME = deltas.MAX_TIME_MS
cdef Py_ssize_t MAX_ROWS_PER_RECORD = deltas.MAX_ROWS_PER_RECORD
cdef int BEGINS = deltas.BEGINS

cdef object FEW_VIEWS = video.Verdict.FEW_VIEWS, ENOUGH_VIEWS = video.Verdict.ENOUGH_VIEWS


cdef class Form:

    def __init__(self, entity):
        shape_of(entity, &self.shape)
        self.row, self.delta_row = self.shape.row_size, KEY + self.shape.row_size
        self.version, self.entity = entity.version, entity
        self.packed = struct.Struct(deltas.ROW_FORMAT + entity.codes(entity.version))


cdef dict FORMS = {}


cdef Form form_of(entity):
    """Return the form of an entity; each entity has one."""
    if entity not in FORMS:
        FORMS[entity] = Form(entity)
    return FORMS[entity]


def _place(name):
    if VIDEO.counters[name].code != "I":
        raise ImportError(f"the viral rule reads 32 bits of {name}")
    before = list(VIDEO.counters.values())[:list(VIDEO.counters).index(name)]
    return PANE + sum(struct.calcsize(counter.code) for counter in before)


#: Offsets of the viral rule's counters in a row; each has 32 bits.
cdef int VIEWS_AT = _place("views"), COMMENTS_AT = _place("comments"), SHARES_AT = _place("shares")


cdef struct Total:
    uint64_t views
    uint64_t others


#: Bytes of the header of a video's value, and of its rows.
cdef Py_ssize_t VIDEO_HEADER = len(video.EMPTY), VIDEO_ROW = form_of(VIDEO).row


cdef Total _total(Row *video, long long first_pane, long long end_pane) noexcept nogil:
    """Return views, and comments plus shares, in the panes first <= p < end."""
    cdef Total total
    cdef Py_ssize_t at = VIDEO_HEADER
    cdef const unsigned char *row
    total.views = total.others = 0
    while at + VIDEO_ROW <= video.value_size:
        row = value_text(video) + at
        if first_pane <= u32(row) < end_pane:
            total.views += u32(row + VIEWS_AT)
            total.others += u32(row + COMMENTS_AT) + <uint64_t> u32(row + SHARES_AT)
        at += VIDEO_ROW
    return total


cdef class PaneWindows:
    """models.pane_windows.PaneWindows, with compiled addition."""

    cdef readonly object windows
    cdef Form form
    cdef bytes empty
    cdef long long step, panes, per_step

    def __init__(self, windows):
        self.windows, self.form, self.empty = windows, form_of(windows.entity), windows.empty
        self.step = windows.slices.step
        self.panes = windows.slices.panes
        self.per_step = windows.per_step

    def in_units(self, unit_ms):
        """See models.pane_windows.PaneWindows."""
        windows = self.windows.in_units(unit_ms)
        return self if windows is self.windows else type(self)(windows)

    cdef Row *apply(self, Row *old, const Key *key, const unsigned char *delta,
                    long long now) except NULL:
        """Return the key's row after a pane's delta; the caller must evict or put it."""
        cdef const unsigned char *data = <const unsigned char *> PyBytes_AS_STRING(self.empty)
        cdef Py_ssize_t header = PyBytes_GET_SIZE(self.empty), row_size = self.form.row
        cdef Py_ssize_t size = header, kept
        cdef long long first_pane = (now // self.step + 1 - self.panes) * self.per_step
        cdef long long pane = u32(delta) * self.per_step
        cdef uint32_t own_pane = <uint32_t> pane, last_pane
        cdef unsigned char[MAX_ROW_BYTES] row
        if old != NULL and old.value_size > 0:
            data, size = value_text(old), old.value_size
        if data[0] != self.form.version or size < header or pane < first_pane:
            return self._rare(old, key, delta, now)
        kept = size
        memcpy(row, delta, row_size)
        memcpy(row, &own_pane, PANE)
        if size >= header + row_size:
            last_pane = u32(data + size - row_size)
            if (u32(data + header) < first_pane or last_pane > pane
                    or self.per_step != 1 and last_pane % self.per_step):
                return self._rare(old, key, delta, now)
            if last_pane == pane:
                kept -= row_size
                add_counters(&self.form.shape, row + PANE, data + kept + PANE)
        cdef Row *new = make_row(key, kept + row_size)
        if new == NULL:
            raise MemoryError
        memcpy(value_text(new), data, kept)
        memcpy(value_text(new) + kept, row, row_size)
        return new

    cdef Row *_rare(self, Row *old, const Key *key, const unsigned char *delta,
                    long long now) except NULL:
        pane, *counts = self.form.entity.rows.unpack_from(delta[:self.form.row])
        return row_from_bytes(key, self.windows.apply(value_of(old), pane, tuple(counts), now))


cdef class VideoWindows(PaneWindows):
    """models.video.VideoWindows, with compiled addition and judging."""

    def judge(self, LookupResult values not None, long long t_ms, rule):
        """See models.video.VideoWindows.judge, which judges the videos above the prefilter."""
        cdef long long first_pane, end_pane, needed
        cdef double coefficient
        first_pane, end_pane = self.windows.slices.window_at(t_ms)
        first_pane, end_pane = first_pane * self.per_step, end_pane * self.per_step
        needed, coefficient = rule.prefilter()
        cdef Py_ssize_t number
        cdef Total total
        cdef list verdicts = []
        for number in range(values.count):
            total.views = total.others = 0
            if values.rows[number] != NULL and values.rows[number].value_size > 0:
                if value_text(values.rows[number])[0] != self.form.version:
                    verdicts += self.windows.judge([value_of(values.rows[number])], t_ms, rule)
                    continue
                total = _total(values.rows[number], first_pane, end_pane)
            if <long long> total.views < needed:
                verdicts.append(FEW_VIEWS)
            elif total.others < coefficient * total.views or total.views == 0:
                verdicts.append(ENOUGH_VIEWS)
            else:
                verdicts += self.windows.judge([value_of(values.rows[number])], t_ms, rule)
        return verdicts


cdef class DeltaChunk:
    """See models.delta_chunk.DeltaChunk."""

    cdef readonly Keys keys
    cdef readonly long long latest, complete_from
    cdef list _values
    cdef Form _form

    def __init__(self, values, of=VIDEO):
        cdef const unsigned char *data
        cdef Py_ssize_t size, at, end, room = 0
        cdef uint32_t count
        cdef int64_t stream_time
        self._values, self._form = [], form_of(of)
        cdef Py_ssize_t delta_row = self._form.delta_row
        self.latest, self.complete_from = -1, 0
        for value in values:
            if not PyBytes_CheckExact(value) or PyBytes_GET_SIZE(value) < DELTA_HEADER:
                renewed(value or b"", of)  # raises
            data = <const unsigned char *> PyBytes_AS_STRING(value)
            size = PyBytes_GET_SIZE(value)
            memcpy(&count, data + 4, 4)
            memcpy(&stream_time, data + 8, 8)
            if (data[0] != self._form.version or not 0 <= stream_time <= MAX_TIME
                    or size != DELTA_HEADER + <Py_ssize_t> count * delta_row):
                value = renewed(value, of)  # raises, unless it is of an older version
            self.latest = max(self.latest, stream_time)
            if data[1] & BEGINS:
                self.complete_from = max(self.complete_from, stream_time + 1)
            room += count
            self._values.append(value)
        self.keys = Keys(room=room)
        for value in self._values:
            data = <const unsigned char *> PyBytes_AS_STRING(value)
            at, end = DELTA_HEADER, PyBytes_GET_SIZE(value)
            while at < end:
                self.keys.add(u64(data + at))
                at += delta_row

    def apply(self, PaneWindows windows not None, LookupResult loaded not None,
              Layer dirty not None, long long now, rule=None):
        cdef set reached = set()
        cdef bint is_ruled = rule is not None
        cdef long long needed = rule.prefilter()[0] if is_ruled else 0
        cdef Py_ssize_t delta_row = self._form.delta_row, empty = len(windows.empty)
        cdef const unsigned char *data
        cdef Py_ssize_t at, end, number = 0
        cdef const unsigned char *delta
        cdef Key *key
        cdef Row *old
        cdef Row *new
        cdef bint changes
        cdef long long first_pane = windows.windows.slices.kept_from(now) * windows.per_step
        if loaded.count != self.keys.count:
            raise ValueError("the number of loaded values differs from the number of the chunk's keys")
        if windows.form is not self._form:
            raise ValueError("the chunk and the windows are of different entities")
        for packed in self._values:
            data = <const unsigned char *> PyBytes_AS_STRING(packed)
            at, end = DELTA_HEADER, PyBytes_GET_SIZE(packed)
            while at < end:
                delta = data + at
                at += delta_row
                key = self.keys.keys + number
                old = dirty.find(key)
                if old == NULL:
                    old = loaded.rows[number]
                number += 1
                changes = old != NULL and old.value_size >= 0
                new = windows.apply(old, key, delta + KEY, now)
                if is_ruled and <long long> _total(new, first_pane, END_OF_PANES).views >= needed:
                    reached.add(u64(delta))
                if not changes and new.value_size <= empty:
                    evict(new)
                elif dirty.put(new) < 0:
                    raise MemoryError
        return reached


cdef inline uint64_t _slot_of(uint64_t key, uint32_t pane) noexcept nogil:
    """By Fibonacci hashing: Knuth, The Art of Computer Programming, 6.4."""
    return (key + (<uint64_t> pane << 40)) * 0x9E3779B97F4A7C15U >> 32


cdef class DeltaAccumulator:
    """See models.deltas.DeltaAccumulator."""

    def __cinit__(self, of=VIDEO):
        self._room, self.form = FIRST_ROOM, form_of(of)
        self._rows = <unsigned char *> malloc(self._room * self.form.delta_row)
        self._slots = <uint32_t *> calloc(SLOTS_PER_ROW * self._room, sizeof(uint32_t))
        if self._rows == NULL or self._slots == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self._rows)
        free(self._slots)

    def __len__(self):
        return self._count

    def add(self, key, pane, increments):
        try:
            delta = self.form.packed.pack(key, pane, *increments)
        except struct.error as error:
            raise ValueError(f"not a delta record: {error}") from error
        cdef const unsigned char *packed = <const unsigned char *> PyBytes_AS_STRING(delta)
        cdef unsigned char *counters = self._counters(u64(packed), u32(packed + KEY))
        if counters == NULL:
            raise MemoryError
        add_counters(&self.form.shape, counters, packed + KEY + PANE)

    cdef Outcome count(self, uint64_t key, long long pane, int kind,
                       const uint64_t *amounts) noexcept nogil:
        """Count an event; NO_PANE or NO_MEMORY: it was not counted."""
        cdef unsigned char *counters
        if pane >> 32 != 0:
            return NO_PANE
        counters = self._counters(key, <uint32_t> pane)
        if counters == NULL:
            return NO_MEMORY
        count_event(&self.form.shape, kind, amounts, counters)
        return APPLIED

    cdef unsigned char *_counters(self, uint64_t key, uint32_t pane) noexcept nogil:
        """Return the counters of a key's pane, in a new row if there is none; NULL: no memory."""
        cdef uint64_t last = SLOTS_PER_ROW * self._room - 1
        cdef uint64_t slot = _slot_of(key, pane) & last
        cdef Py_ssize_t delta_row = self.form.delta_row
        cdef unsigned char *row
        while self._slots[slot]:
            row = self._rows + delta_row * (self._slots[slot] - 1)
            if u64(row) == key and u32(row + KEY) == pane:
                return row + KEY + PANE
            slot = (slot + 1) & last
        row = self._rows + delta_row * self._count
        memcpy(row, &key, KEY)
        memcpy(row + KEY, &pane, PANE)
        memset(row + KEY + PANE, 0, delta_row - KEY - PANE)
        self._count += 1
        self._slots[slot] = <uint32_t> self._count
        if self._count == self._room:
            if self._grow() < 0:
                return NULL
            row = self._rows + delta_row * (self._count - 1)
        return row + KEY + PANE

    cdef int _grow(self) noexcept nogil:
        """Double the room."""
        cdef Py_ssize_t delta_row = self.form.delta_row
        cdef Py_ssize_t room = 2 * self._room, number
        cdef uint64_t last = SLOTS_PER_ROW * room - 1, slot
        cdef uint32_t *slots
        cdef unsigned char *row
        cdef unsigned char *rows = <unsigned char *> realloc(self._rows, room * delta_row)
        if rows == NULL:
            return -1
        self._rows = rows
        slots = <uint32_t *> calloc(SLOTS_PER_ROW * room, sizeof(uint32_t))
        if slots == NULL:
            return -1
        free(self._slots)
        self._slots, self._room = slots, room
        for number in range(self._count):
            row = rows + delta_row * number
            slot = _slot_of(u64(row), u32(row + KEY)) & last
            while slots[slot]:
                slot = (slot + 1) & last
            slots[slot] = <uint32_t> (number + 1)
        return 0

    def records(self, int source_partition, long long stream_time_ms, int partitions, *,
                bint heartbeat):
        """See models.deltas.DeltaAccumulator.records."""
        cdef Py_ssize_t i, first = 0, some, delta_row = self.form.delta_row
        cdef uint32_t *targets = <uint32_t *> malloc(self._count * sizeof(uint32_t))
        cdef Py_ssize_t *ends = <Py_ssize_t *> calloc(partitions, sizeof(Py_ssize_t))
        cdef unsigned char *sorted_rows = <unsigned char *> malloc(max(1, self._count * delta_row))
        cdef list records = []
        cdef uint32_t target
        cdef unsigned char[MAX_DIGITS] digits
        cdef int digit
        try:
            if targets == NULL or ends == NULL or sorted_rows == NULL:
                raise MemoryError
            for i in range(self._count):
                digit = first_digit(u64(self._rows + delta_row * i), digits)
                targets[i] = partition_of(digits + digit, MAX_DIGITS - digit, partitions)
                ends[targets[i]] += 1
            # Counting sort: `ends` has the start of each partition's rows, then their end.
            for target in range(partitions):
                some = ends[target]
                ends[target] = first
                first += some
            for i in range(self._count):
                memcpy(sorted_rows + delta_row * ends[targets[i]], self._rows + delta_row * i, delta_row)
                ends[targets[i]] += 1
            first = 0
            for target in range(partitions):
                if heartbeat and first == ends[target]:
                    records.append((target, _record(self.form, NULL, 0, source_partition, stream_time_ms)))
                while first < ends[target]:
                    some = min(MAX_ROWS_PER_RECORD, ends[target] - first)
                    records.append(
                        (target,
                         _record(self.form, sorted_rows + delta_row * first, some, source_partition,
                                 stream_time_ms))
                    )
                    first += some
            return records
        finally:
            free(targets)
            free(ends)
            free(sorted_rows)


cdef bytes _record(Form form, const unsigned char *rows, uint32_t count, uint16_t source,
                   int64_t stream_time):
    cdef Py_ssize_t size = count * form.delta_row
    result = PyBytes_FromStringAndSize(NULL, DELTA_HEADER + size)
    cdef unsigned char *out = <unsigned char *> PyBytes_AS_STRING(result)
    out[0] = form.version
    out[1] = 0
    memcpy(out + 2, &source, 2)
    memcpy(out + 4, &count, 4)
    memcpy(out + 8, &stream_time, 8)
    memcpy(out + DELTA_HEADER, rows, size)
    return result
