# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""models.chunk, compiled."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import numpy as np
from xxhash import xxh3_64_intdigest

from accelerator.counters cimport counts_kind, read_amounts
from accelerator.deltas cimport DeltaAccumulator
from accelerator.keys cimport MAX_KEY, partition_of
from accelerator.layer cimport Key, Keys, Layer, Row, evict, hold, make_row, value_of, value_text
from accelerator.lookup cimport LookupResult
from accelerator.records cimport Place, Records
from accelerator.scan cimport (
    RIGHT, UNSURE, Event, Rooms, ScanResult, note_wrong, rejection_of, scan
)
from accelerator.user cimport (
    APPLIED, BLOCK_SIZE, DUPLICATE, NO_MEMORY, NO_PANE, RARE, Blocks, Outcome, UserWindows,
    block_key, index_key
)
from models.chunk import ChunkOutcome
from models.event import Rejected, decode, id_hash, timestamp_ms
from models.schema import EVENT_TYPES


cdef struct Own:
    # An event of the chunk's own partition.
    Event event
    uint64_t id_hash
    # Its position in the records.
    Py_ssize_t number
    # Position of its key in the indexes to read; -1: it needs none, or has it in memory.
    Py_ssize_t index


cdef struct Late:
    Py_ssize_t number
    long long stream_time


cdef struct Progress:
    # The next event to process, and the outcomes of the earlier ones.
    Py_ssize_t next
    long long stream_time
    bint is_begun
    Py_ssize_t applied
    Py_ssize_t duplicate
    Py_ssize_t late


cdef class Chunk:
    """See models.chunk.Chunk."""

    cdef readonly Keys keys
    cdef readonly list misplaced, future, rejected, dropped
    cdef readonly object sent
    cdef object _records
    cdef Keys _indexes
    cdef Own *_events
    cdef Late *_late

    def __cinit__(self, records, *_):
        cdef Py_ssize_t room = max(1, len(records))
        self._events = <Own *> malloc(room * sizeof(Own))
        self._late = <Late *> malloc(room * sizeof(Late))
        if self._events == NULL or self._late == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self._events)
        free(self._late)

    def __init__(self, records, uint32_t partition, uint32_t partitions, long long latest_ms):
        self.keys, self._indexes = Keys(room=len(records)), Keys()
        self.misplaced, self.future = [], []
        self.rejected, self.dropped, self._records = [], [], records
        self.sent = np.empty(len(records), np.int64)
        cdef long long[::1] sent = self.sent
        cdef Records packed = records if isinstance(records, Records) else None
        cdef Py_ssize_t number
        cdef Own *own
        cdef Event *event
        cdef Place *place
        cdef ScanResult verdict
        cdef Rooms rooms
        cdef int field
        cdef bint is_judged, is_hashed
        for number in range(len(records)):
            own = self._events + self.keys.count
            event = &own.event
            verdict, value, is_hashed = UNSURE, None, False
            is_judged = False
            if packed is None:
                record = records[number]
                sent[number], value = record.timestamp, record.value
            else:
                place = packed.places + number
                sent[number] = place.timestamp
                # The number of headers follows the value: 0 is the NUL that the scan needs.
                is_judged = place.value_size >= 0 and place.value[place.value_size] == 0
                if is_judged:
                    verdict = scan(place.value, place.value_size, event, &rooms, &field)
                if verdict == UNSURE:
                    value = packed.value(number)
            if not is_judged and PyBytes_CheckExact(value):
                verdict = scan(<const unsigned char *> PyBytes_AS_STRING(value),
                               PyBytes_GET_SIZE(value), event, &rooms, &field)
            if verdict == UNSURE:
                decoded = decode(value, self.dropped)
                if isinstance(decoded, Rejected):
                    self.rejected.append((records[number], decoded))
                    continue
                is_hashed = True
                own.id_hash = id_hash(decoded.event_id)
                _take(decoded, event)
            elif verdict != RIGHT:
                self.rejected.append((records[number], rejection_of(verdict, field)))
                continue
            elif event.wrong:
                note_wrong(event, self.dropped)
            if event.t_ms > latest_ms:
                self.future.append((records[number], event.t_ms))
                continue
            own.number, own.index = number, -1
            self._sort(own, is_hashed, partition, partitions)

    cdef int _sort(self, Own *own, bint is_hashed, uint32_t partition,
                   uint32_t partitions) except -1:
        cdef Key *key = self.keys.add(own.event.user_id)
        cdef uint32_t right = partition_of(key.text, key.size, partitions)
        if right != partition:
            self.misplaced.append(
                (self._records[own.number], right, self.keys[self.keys.count - 1])
            )
            self.keys.count -= 1
        elif not is_hashed:
            own.id_hash = xxh3_64_intdigest(
                PyBytes_FromStringAndSize(
                    <const char *> own.event.event_id, own.event.event_id_size
                )
            )
        return 0

    def indexes(self, UserWindows windows not None, LookupResult loaded not None, stream_time):
        """See models.chunk.Chunk; without the indexes that are in memory."""
        cdef unsigned char[MAX_KEY] text
        cdef long long now
        cdef Py_ssize_t number
        cdef Key key
        cdef Row *row
        if loaded.count != self.keys.count:
            raise ValueError("the number of loaded rows differs from the number of the chunk's keys")
        if stream_time is None:
            return self._indexes
        now, self._indexes = stream_time, Keys(room=loaded.count)
        for number in range(loaded.count):
            row = loaded.rows[number]
            if windows.asks_index(row, now) and row.linked == NULL:
                self._events[number].index = self._indexes.count
                key = index_key(self.keys.keys + number, text)
                self._indexes.copy(&key)
        return self._indexes

    def apply(self, UserWindows windows not None, rows not None, stream_time,
              DeltaAccumulator deltas not None, long long video_step,
              DeltaAccumulator creators=None):
        cdef LookupResult loaded = rows.loaded, indexes = rows.indexes
        cdef Layer dirty = rows.dirty
        cdef Progress progress
        cdef Outcome outcome
        cdef Own *own
        cdef Row *index
        cdef bint is_applied
        if (loaded.count, indexes.count) != (self.keys.count, self._indexes.count):
            raise ValueError("the number of loaded rows differs from the number of the chunk's keys")
        progress.next = progress.applied = progress.duplicate = progress.late = 0
        progress.is_begun = stream_time is not None
        progress.stream_time = stream_time if progress.is_begun else -1
        while True:
            outcome = self._process(windows, dirty, loaded, indexes, deltas, video_step,
                                    creators, &progress)
            if outcome != RARE:
                break
            own = self._events + progress.next
            key = self.keys[progress.next]
            rows.ahead[key] = value_of(loaded.rows[progress.next])
            if own.index >= 0:
                rows.ahead[self._indexes[own.index]] = value_of(indexes.rows[own.index])
            now = max(own.event.t_ms, progress.stream_time)
            index = hold(self._index_of(progress.next, dirty, loaded, indexes))
            try:
                is_applied = windows.apply_rare(rows, key, own.event.kind, own.event.t_ms,
                                                own.event.amounts, own.id_hash, now)
                self._keep_index(progress.next, dirty, index)
            finally:
                evict(index)
            if is_applied:
                outcome = self._applied(own, now, deltas, video_step, creators, windows.step,
                                        &progress)
                if outcome != APPLIED:
                    break
            else:
                progress.duplicate += 1
            progress.next += 1
        if outcome == NO_MEMORY:
            raise MemoryError
        if outcome == NO_PANE:
            raise ValueError(f"not a delta record: time {self._events[progress.next].event.t_ms}")
        late = [
            (self._records[self._late[i].number], self._late[i].stream_time)
            for i in range(progress.late)
        ]
        return ChunkOutcome(
            progress.stream_time if progress.is_begun else None,
            *(progress.applied, progress.duplicate, late),
        )

    cdef Outcome _process(self, UserWindows windows, Layer dirty, LookupResult loaded,
                          LookupResult indexes, DeltaAccumulator deltas, long long video_step,
                          DeltaAccumulator creators, Progress *progress) noexcept nogil:
        """Process events up to the end of the chunk or the next RARE one."""
        cdef long long now, step = windows.step
        cdef Outcome outcome
        cdef Blocks changed
        cdef Own *own
        cdef Key *key
        cdef Row *old
        cdef Row *index
        cdef Row *new
        while progress.next < self.keys.count:
            own = self._events + progress.next
            if own.event.t_ms < 0 or (
                progress.is_begun
                and own.event.t_ms // step < progress.stream_time // step - windows.other_panes
            ):
                self._late[progress.late].number = own.number
                self._late[progress.late].stream_time = (
                    progress.stream_time if progress.is_begun else 0
                )
                progress.late += 1
                progress.next += 1
                continue
            now = max(own.event.t_ms, progress.stream_time)
            key = self.keys.keys + progress.next
            old = dirty.find(key)
            if old == NULL:
                old = loaded.rows[progress.next]
            index = NULL
            if windows.asks_index(old, now):
                index = self._index_of(progress.next, dirty, loaded, indexes)
            outcome = windows.apply(old, index, key, own.event.kind, own.event.t_ms, own.event.amounts,
                                    own.id_hash, now, &new, &changed)
            if outcome == APPLIED:
                if (
                    changed.index != NULL and _put_blocks(dirty, key, &changed) < 0
                    or dirty.put(new) < 0
                ):
                    return NO_MEMORY
                outcome = self._applied(own, now, deltas, video_step, creators, step, progress)
                if outcome != APPLIED:
                    return outcome
            elif outcome == DUPLICATE:
                progress.duplicate += 1
            else:
                return outcome
            progress.next += 1
        return APPLIED

    cdef Row *_index_of(self, Py_ssize_t number, Layer dirty, LookupResult loaded,
                        LookupResult indexes) noexcept nogil:
        """Return the index of sealed ids of an event's user if it is in memory, or NULL."""
        cdef Row *row = dirty.find(self.keys.keys + number)
        if row != NULL and row != loaded.rows[number]:
            # The loaded index belongs to an older row, and may be outdated.
            return row.linked
        row = loaded.rows[number]
        if row != NULL and row.linked != NULL:
            return row.linked
        return indexes.rows[self._events[number].index] if self._events[number].index >= 0 else NULL

    cdef int _keep_index(self, Py_ssize_t number, Layer dirty, Row *former) except -1:
        """Link the index to a row that the plain form has written: the next event needs it."""
        cdef unsigned char[MAX_KEY] text
        cdef Key *key = self.keys.keys + number
        cdef Key named = index_key(key, text)
        cdef Row *row = dirty.find(key)
        cdef Row *index = dirty.find(&named)
        if index == NULL:
            index = former
        if row != NULL and row.linked == NULL and index != NULL:
            row.linked = hold(index)
            dirty.linked_bytes += max(0, index.value_size)
        return 0

    cdef Outcome _applied(self, Own *own, long long now, DeltaAccumulator deltas,
                          long long video_step, DeltaAccumulator creators, long long step,
                          Progress *progress) noexcept nogil:
        cdef Outcome outcome = APPLIED
        cdef Event *event = &own.event
        progress.applied += 1
        progress.stream_time = now
        progress.is_begun = True
        if counts_kind(&deltas.form.shape, event.kind):
            outcome = deltas.count(event.video_id, event.t_ms // video_step, event.kind,
                                   event.amounts)
        if outcome == APPLIED and creators is not None and event.creator_id >= 0 and (
                counts_kind(&creators.form.shape, event.kind)):
            outcome = creators.count(event.creator_id, event.t_ms // step, event.kind,
                                     event.amounts)
        return outcome


cdef int _take(decoded, Event *event) except -1:
    """Copy an event that models.event has decoded, without its id."""
    event.t_ms = timestamp_ms(decoded.timestamp)
    event.kind = EVENT_TYPES.index(decoded.event_type)
    event.user_id, event.video_id = decoded.user_id, decoded.video_id
    event.creator_id = -1 if decoded.creator_id is None else decoded.creator_id
    return read_amounts(decoded.metadata, event.amounts)


cdef int _put_blocks(Layer dirty, const Key *user, Blocks *changed) noexcept nogil:
    """Write the sealed block, delete the expired blocks, and put their index."""
    cdef int number
    if changed.is_sealed and _put_block(dirty, user, changed.number, changed.sealed) < 0:
        return -1
    for number in range(changed.first, changed.first + changed.gone):
        if _put_block(dirty, user, number & 255, NULL) < 0:
            return -1
    return dirty.put(changed.index)


cdef int _put_block(Layer dirty, const Key *user, int number,
                    const unsigned char *block) noexcept nogil:
    """Write a user's block; NULL: delete it."""
    cdef unsigned char[MAX_KEY] text
    cdef Key key = block_key(user, number, text)
    cdef Row *row = make_row(&key, BLOCK_SIZE if block != NULL else -1)
    if row == NULL:
        return -1
    if block != NULL:
        memcpy(value_text(row), block, BLOCK_SIZE)
    return dirty.put(row)
