# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""models.chunk, compiled."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

import numpy as np
from xxhash import xxh3_64_intdigest

from accelerator.deltas cimport Gathered
from accelerator.history cimport RARE, Histories
from accelerator.keys cimport key_of, partition_of
from accelerator.records cimport Place, Records
from accelerator.scan cimport COMMENT, FOLLOW, LIKE, SAVE, SHARE, VIEW, Event, scan
from models.chunk import Folded
from models.event import Rejected, decode, id_hash, timestamp_ms
from models.seen import block_key
from models.video import COUNTER_OF

cdef dict KINDS = {"video_view": VIEW, "like": LIKE, "comment": COMMENT, "share": SHARE, "save": SAVE,
                   "follow": FOLLOW}

# models.video counts in the order of the kinds.
if {KINDS[name]: counter for name, counter in COUNTER_OF.items()} != {0: 0, 1: 1, 2: 2, 3: 3}:
    raise ImportError("models.video counts other kinds")


cdef class Chunk:
    """See models.chunk.Chunk."""

    cdef readonly list keys, foreign, future, rejected, dropped
    cdef readonly object sent
    cdef object _records
    cdef list _hashes
    cdef Event *_events
    # Which of the records each event is.
    cdef Py_ssize_t *_numbers
    cdef Py_ssize_t _count

    def __cinit__(self, records, *_):
        cdef Py_ssize_t room = max(1, len(records))
        self._events = <Event *> PyMem_Malloc(room * sizeof(Event))
        self._numbers = <Py_ssize_t *> PyMem_Malloc(room * sizeof(Py_ssize_t))
        if self._events == NULL or self._numbers == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self._events)
        PyMem_Free(self._numbers)

    def __init__(self, records, uint32_t partition, uint32_t partitions, long long latest_ms):
        self.keys, self.foreign, self.future = [], [], []
        self.rejected, self.dropped, self._records = [], [], records
        self._hashes = []
        self._count = 0
        self.sent = np.empty(len(records), np.int64)
        cdef long long[::1] sent = self.sent
        cdef Records packed = records if isinstance(records, Records) else None
        cdef Py_ssize_t number
        cdef Event *event
        cdef Place *place
        cdef bint is_read
        for number in range(len(records)):
            event = self._events + self._count
            if packed is None:
                record = records[number]
                sent[number], value = record.timestamp, record.value
                is_read = False
            else:
                place = packed.places + number
                sent[number] = place.timestamp
                # Behind the value is the number of headers: none is the NUL that the scan needs.
                is_read = (place.value_size >= 0 and place.value[place.value_size] == 0
                           and scan(place.value, place.value_size, event))
                value = None if is_read else packed.value(number)
            hashed = None
            if not is_read and (
                    not PyBytes_CheckExact(value)
                    or not scan(<const unsigned char *> PyBytes_AS_STRING(value),
                                PyBytes_GET_SIZE(value), event)):
                decoded = decode(value, self.dropped)
                if isinstance(decoded, Rejected):
                    self.rejected.append((records[number], decoded))
                    continue
                event.t_ms = timestamp_ms(decoded.timestamp)
                event.kind = KINDS[decoded.event_type]
                event.user_id, event.video_id = decoded.user_id, decoded.video_id
                event.watched = decoded.metadata.view_duration_ms
                hashed = id_hash(decoded.event_id)
            if event.t_ms > latest_ms:
                self.future.append((records[number], event.t_ms))
                continue
            self._sort(number, event, hashed, partition, partitions)

    cdef int _sort(self, Py_ssize_t number, Event *event, object hashed, uint32_t partition,
                   uint32_t partitions) except -1:
        cdef bytes key = key_of(event.user_id)
        cdef uint32_t right = partition_of(
            <const unsigned char *> PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), partitions
        )
        if right != partition:
            self.foreign.append((self._records[number], right, key))
            return 0
        if hashed is None:
            hashed = xxh3_64_intdigest(
                PyBytes_FromStringAndSize(<const char *> event.event_id, event.event_id_size)
            )
        self.keys.append(key)
        self._hashes.append(hashed)
        self._numbers[self._count] = number
        self._count += 1
        return 0

    def fold(self, Histories windows not None, rows not None, stream_time, Gathered deltas not None,
             long long video_step):
        cdef list loaded = rows.loaded
        cdef dict dirty = rows.dirty
        cdef long long now, clock = -1 if stream_time is None else stream_time
        cdef bint is_begun = stream_time is not None
        cdef long long step = windows.step
        cdef Py_ssize_t i, applied = 0, duplicate = 0
        cdef Event *event
        cdef PyObject *found
        cdef list late = []
        if len(loaded) != self._count:
            raise ValueError("a chunk has as many keys as rows loaded")
        for i in range(self._count):
            event = self._events + i
            if event.t_ms < 0 or (
                is_begun and event.t_ms // step < clock // step - windows.other_panes
            ):
                late.append((self._records[self._numbers[i]], clock if is_begun else 0))
                continue
            now = event.t_ms if not is_begun or event.t_ms > clock else clock
            key = self.keys[i]
            found = PyDict_GetItem(dirty, key)
            old = loaded[i] if found == NULL else <object> found
            value = windows.apply(old, event.kind, event.t_ms, event.watched, self._hashes[i], now)
            if value is RARE:
                rows.ahead[key] = old
                if not windows.apply_rare(rows, key, event.kind, event.t_ms, event.watched,
                                          self._hashes[i], now):
                    value = None
            elif value is not None:
                dirty[key] = value
                if windows.block is not None:
                    dirty[block_key(key, windows.block_number)] = windows.block
                    windows.block = None
            if value is None:
                duplicate += 1
                continue
            applied += 1
            clock = now
            is_begun = True
            if event.kind <= SHARE:
                deltas.count(event.video_id, event.t_ms // video_step, event.kind)
        return Folded(clock if is_begun else None, applied, duplicate, late)
