# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""models.user_rows, compiled: events from dicts, and users' rows for the plain functions."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.float cimport PyFloat_CheckExact
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from libc.math cimport rint
from libc.stdint cimport uint64_t
from libc.string cimport memset

from xxhash import xxh3_64_intdigest

from accelerator.counters cimport (
    MAX_ROW_BYTES, PANE, Field, Shape, add_counters, count_event, counts_kind, read_amounts,
    shape_of
)
from accelerator.keys cimport MAX_DIGITS, MAX_KEY, first_digit
from accelerator.layer cimport Key, Layer, Row, evict, key_from, value_of, value_text
from accelerator.numbers cimport u32, u64
from accelerator.scan cimport AMOUNTS, ONE, POSITIONS, REACHED, WATCHED, kind_of
from accelerator.times cimport RIGHT, time_of
from accelerator.user cimport (
    APPLIED, DUPLICATE, NO_MEMORY, RARE, Blocks, Outcome, UserWindows, index_key
)

from models.counters import USER, VIDEO
from models.entity import POSITION_UNITS
from models.event import id_hash, timestamp_ms
from models.schema import EVENT_TYPES, MAX_DURATION_MS, MAX_ID_LENGTH
from models.dedup import HEADER_SIZE, ID_SIZE, TIME_SIZE

cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object text)
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    void *PyUnicode_DATA(object text)

cdef long long LONGEST_DURATION = MAX_DURATION_MS
cdef Py_ssize_t LONGEST_TEXT = MAX_ID_LENGTH
cdef double UNITS = POSITION_UNITS
cdef Py_ssize_t HEADER = HEADER_SIZE, TIME = TIME_SIZE, ID = ID_SIZE
cdef int VERSION = USER.version

cdef Shape OF_USERS, OF_VIDEOS
shape_of(USER, &OF_USERS)
shape_of(VIDEO, &OF_VIDEOS)

cdef object _counters_of_users = USER.rows.unpack_from, _counters_of_videos = VIDEO.rows.unpack_from


cdef inline bint _is_text(text) except -1:
    """Whether it is a short ASCII text."""
    return (PyUnicode_CheckExact(text) and PyUnicode_IS_COMPACT_ASCII(text)
            and PyUnicode_GET_LENGTH(text) <= LONGEST_TEXT)


cdef inline long long _number(number) except -2:
    """Return an int, but no bool, from 0 to 2**63 - 1; -1 for anything else."""
    cdef int overflow
    cdef long long found
    if not PyLong_CheckExact(number):
        return -1
    found = PyLong_AsLongLongAndOverflow(number, &overflow)
    return -1 if overflow or found < 0 else found


cdef class Engagement:
    """See models.user_rows.Engagement."""

    cdef readonly unsigned long long user_id, video_id, id_hash
    cdef readonly long long t_ms
    cdef int _kind
    cdef uint64_t[AMOUNTS] _amounts

    @staticmethod
    def of(event):
        cdef Engagement made = Engagement.__new__(Engagement)
        made.user_id, made.video_id = event.user_id, event.video_id
        made.t_ms, made.id_hash = timestamp_ms(event.timestamp), id_hash(event.event_id)
        made._kind = EVENT_TYPES.index(event.event_type)
        read_amounts(event.metadata, made._amounts)
        return made

    def of_video(self):
        cdef unsigned char[MAX_ROW_BYTES] row
        if not counts_kind(&OF_VIDEOS, self._kind):
            return None
        memset(row, 0, OF_VIDEOS.row_size)
        count_event(&OF_VIDEOS, self._kind, self._amounts, row + PANE)
        return _counters_of_videos(row[:OF_VIDEOS.row_size])[1:]


def usual_engagement(given):
    """See models.user_rows.usual_engagement."""
    # A subclass may behave differently: it takes the path through JSON.
    if type(given) is not dict:
        return None
    cdef Engagement made = Engagement.__new__(Engagement)
    return made if _read(<dict> given, made) else None


cdef bint _read(dict given, Engagement made) except -1:
    """Read an event of the usual form; False: it has another."""
    cdef int known = 5
    cdef long long user_id, video_id
    event_id, event_type = given.get("event_id"), given.get("event_type")
    timestamp = given.get("timestamp")
    creator_id, session_id = given.get("creator_id"), given.get("session_id")
    if not (_is_text(event_id) and event_id and _is_text(event_type) and _is_text(timestamp)):
        return False
    user_id, video_id = _number(given.get("user_id")), _number(given.get("video_id"))
    made._kind = kind_of(
        <const unsigned char *> PyUnicode_DATA(event_type), PyUnicode_GET_LENGTH(event_type)
    )
    if (user_id < 0 or video_id < 0 or made._kind < 0
            or time_of(<const unsigned char *> PyUnicode_DATA(timestamp),
                       PyUnicode_GET_LENGTH(timestamp), &made.t_ms) != RIGHT):
        return False
    if creator_id is not None:
        if _number(creator_id) < 0:
            return False
        known += 1
    if session_id is not None:
        if not _is_text(session_id):
            return False
        known += 1
    made._amounts[ONE], made._amounts[WATCHED] = 1, 0
    made._amounts[POSITIONS], made._amounts[REACHED] = 0, 0
    if "metadata" in given:
        metadata = given["metadata"]
        if type(metadata) is not dict or not _read_metadata(<dict> metadata, made):
            return False
        known += 1
    if known != len(given):
        return False
    made.user_id, made.video_id = user_id, video_id
    made.id_hash = xxh3_64_intdigest((<str> event_id).encode())
    return True


cdef bint _read_metadata(dict given, Engagement made) except -1:
    cdef int known = 0
    cdef long long watched
    cdef double reached
    position, device = given.get("video_position"), given.get("device_type")
    if "view_duration_ms" in given:
        watched = _number(given["view_duration_ms"])
        if watched < 0 or watched > LONGEST_DURATION:
            return False
        made._amounts[WATCHED] = watched
        known += 1
    if position is not None:
        if not PyFloat_CheckExact(position):
            return False
        reached = position
        if not 0 <= reached <= 1:
            return False
        # Like round(): halves go to the even number.
        made._amounts[POSITIONS], made._amounts[REACHED] = 1, <uint64_t> rint(reached * UNITS)
        known += 1
    if device is not None:
        if not _is_text(device):
            return False
        known += 1
    return known == len(given)


cdef class UserRows:
    """See models.user_rows.UserRows."""

    cdef UserWindows _windows
    cdef Layer _rows

    def __init__(self, windows):
        self._windows = UserWindows(windows)
        self._rows = Layer()

    def __len__(self):
        return self._rows.count

    def get(self, bytes key not None):
        return self._rows.get(key)

    def metrics(self, user_id, long long t_ms):
        cdef unsigned char[MAX_DIGITS] digits
        cdef unsigned char[MAX_ROW_BYTES] sums
        cdef long long first, end
        cdef int digit
        cdef Key key
        cdef Row *row
        windows = self._windows.windows
        if _number(user_id) < 0:
            return windows.metrics(self._rows.get(b"%d" % user_id), t_ms)
        digit = first_digit(user_id, digits)
        key = key_from(digits + digit, MAX_DIGITS - digit)
        row = self._rows.find(&key)
        first, end = windows.slices.window_at(t_ms)
        if row == NULL or not _sum(row, first, end, sums):
            return windows.metrics(value_of(row), t_ms)
        return USER.counts_of(
            *(first, end, self._windows.step), _counters_of_users(sums[:OF_USERS.row_size])[1:]
        )

    def apply(self, Engagement event not None, long long stream_time):
        cdef unsigned char[MAX_DIGITS] digits
        cdef unsigned char[MAX_KEY] text
        cdef int first = first_digit(event.user_id, digits)
        cdef Key key = key_from(digits + first, MAX_DIGITS - first), named
        cdef Row *old = self._rows.find(&key)
        cdef Row *index = NULL
        cdef Row *new = NULL
        cdef Blocks changed
        cdef Outcome outcome
        if self._windows.asks_index(old, stream_time):
            index = old.linked
            if index == NULL:
                named = index_key(&key, text)
                index = self._rows.find(&named)
        outcome = self._windows.apply(
            old, index, &key, event._kind, event.t_ms, event._amounts, event.id_hash, stream_time,
            &new, &changed
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
            # Every sixteenth event of a busy user changes blocks, which is left to the plain form.
            evict(new)
            evict(changed.index)
        return self._windows.apply_rare(
            self._rows, PyBytes_FromStringAndSize(<const char *> key.text, key.size), event._kind,
            event.t_ms, event._amounts, event.id_hash, stream_time
        )

    def sweep(self, long long stream_time):
        cdef Layer kept = Layer()
        is_expired = self._windows.windows.is_expired
        for key, row in self._rows.items():
            if row and not is_expired(row, stream_time):
                kept[key] = row
        self._rows = kept


cdef bint _sum(Row *row, long long first, long long end, unsigned char *sums) noexcept nogil:
    """Sum the panes first <= p < end of a user's row; False: the plain form must."""
    cdef const unsigned char *data = value_text(row)
    cdef Py_ssize_t at = HEADER
    memset(sums, 0, OF_USERS.row_size)
    if row.value_size < HEADER or data[0] != VERSION:
        return False
    at += (TIME if data[1] else 0) + ID * data[3]
    while at + OF_USERS.row_size <= row.value_size:
        if first <= u32(data + at) < end:
            add_counters(&OF_USERS, sums + PANE, data + at + PANE)
        at += OF_USERS.row_size
    return not _is_any_full(&OF_USERS, sums + PANE)


cdef bint _is_any_full(const Shape *shape, const unsigned char *counters) noexcept nogil:
    """Whether a counter is at its maximum; Python's integers have none."""
    cdef const Field *field = shape.fields
    cdef const Field *end = field + shape.count
    while field < end:
        if (u64(counters + field.offset) == 0xFFFFFFFFFFFFFFFFU if field.size == 8
                else u32(counters + field.offset) == 0xFFFFFFFFU):
            return True
        field += 1
    return False
