# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What models.user does to a user's value at an event, for the usual events.

An event is usual when it is of the user's newest pane, or of a newer one. The layout is told in
models.user, which does the rest: this gives the same bytes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from models import user

from accelerator.scan cimport LIKE, VIEW

cdef enum:
    HEADER = 4
    SEEN = 12
    ROW = 20

cdef int VERSION = user.VERSION
cdef Py_ssize_t MAX_SEEN = user.MAX_SEEN
cdef tuple KINDS = ("video_view", "like", "", "", "", "")

# The layout is little-endian, and so is every machine that CPython 3.11 is built for here.
if not (HEADER, SEEN, ROW) == (len(user.EMPTY), user._SEEN_SIZE, user._ROW_SIZE):
    raise ImportError("models.user has another layout")
import sys
if sys.byteorder != "little":
    raise ImportError("made for little-endian machines")


cdef inline uint32_t _u32(const unsigned char *at) noexcept:
    cdef uint32_t number
    memcpy(&number, at, 4)
    return number


cdef inline uint64_t _u64(const unsigned char *at) noexcept:
    cdef uint64_t number
    memcpy(&number, at, 8)
    return number


cdef inline void _write_row(unsigned char *at, uint32_t pane, uint32_t views, uint32_t likes,
                            uint64_t watched) noexcept:
    memcpy(at, &pane, 4)
    memcpy(at + 4, &views, 4)
    memcpy(at + 8, &likes, 4)
    memcpy(at + 12, &watched, 8)


cdef class Histories:
    """models.user.UserWindows, faster."""

    def __init__(self, windows):
        self.windows = windows
        self.step = windows.slices.step
        self.other_panes = windows.slices.panes - 1
        self.horizon = windows._horizon

    cdef Py_ssize_t _kept_from(self, const unsigned char *data, Py_ssize_t count, long long last_pane,
                               long long stream_time) noexcept:
        """The first seen id within the horizon."""
        cdef Py_ssize_t i = 0
        if stream_time - (last_pane + self.other_panes + 1) * self.step > self.horizon:
            return count
        cdef uint32_t now = <uint32_t> stream_time
        while i < count and <uint32_t> (now - _u32(data + HEADER + SEEN * i + 8)) > self.horizon:
            i += 1
        return i

    cdef object apply(self, object value, int kind, long long t_ms, long long watched,
                      unsigned long long id_hash, long long stream_time):
        """The value after an event that is not late, None when it is a duplicate."""
        cdef long long pane = t_ms // self.step
        cdef uint32_t now = <uint32_t> stream_time
        cdef uint32_t views = kind == VIEW, likes = kind == LIKE
        cdef uint64_t watch = watched if kind == VIEW else 0
        cdef Py_ssize_t size = 0, count = 0, first = 0, rows_at, rows_size, last_at, i
        cdef const unsigned char *data = NULL
        if value is not None:
            data = <const unsigned char *> PyBytes_AS_STRING(value)
            size = PyBytes_GET_SIZE(value)
        cdef bint is_new = size == 0 or (
            size == HEADER and data[0] == VERSION and data[2] == 0 and data[3] == 0
        )
        if is_new:
            rows_at = rows_size = 0
        else:
            if size < HEADER + ROW or data[0] != VERSION:
                return self._rare(value, kind, t_ms, watched, id_hash, stream_time)
            count = data[2] | data[3] << 8
            rows_at = HEADER + SEEN * count
            last_at = size - ROW
            last_pane = _u32(data + last_at)
            if pane < last_pane:
                return self._rare(value, kind, t_ms, watched, id_hash, stream_time)
            if count:
                i = count - 1
                while i >= 0 and _u64(data + HEADER + SEEN * i) != id_hash:
                    i -= 1
                if i >= 0 and i >= self._kept_from(data, count, last_pane, stream_time):
                    return None
                if (<uint32_t> (now - _u32(data + HEADER + 8)) > self.horizon
                        or last_pane < stream_time // self.step - self.other_panes):
                    first = self._kept_from(data, count, last_pane, stream_time)
                if count - first == MAX_SEEN:
                    first += 1
            while rows_at < size and _u32(data + rows_at) < stream_time // self.step - self.other_panes:
                rows_at += ROW
            rows_size = size - rows_at
            if pane == last_pane:
                if (_u32(data + last_at + 4) > 0xFFFFFFFF - views
                        or _u32(data + last_at + 8) > 0xFFFFFFFF - likes
                        or _u64(data + last_at + 12) > 0xFFFFFFFFFFFFFFFF - watch):
                    return self._rare(value, kind, t_ms, watched, id_hash, stream_time)
                views += _u32(data + last_at + 4)
                likes += _u32(data + last_at + 8)
                watch += _u64(data + last_at + 12)
                rows_size -= ROW
        cdef uint16_t kept = <uint16_t> (count - first)
        cdef Py_ssize_t seen_size = SEEN * kept
        result = PyBytes_FromStringAndSize(NULL, HEADER + seen_size + SEEN + rows_size + ROW)
        cdef unsigned char *out = <unsigned char *> PyBytes_AS_STRING(result)
        kept += 1
        out[0] = VERSION
        out[1] = 0
        memcpy(out + 2, &kept, 2)
        out += HEADER
        if not is_new:
            memcpy(out, data + HEADER + SEEN * first, seen_size)
            out += seen_size
        memcpy(out, &id_hash, 8)
        memcpy(out + 8, &now, 4)
        out += SEEN
        if not is_new:
            memcpy(out, data + rows_at, rows_size)
            out += rows_size
        _write_row(out, <uint32_t> pane, views, likes, watch)
        return result

    cdef object _rare(self, object value, int kind, long long t_ms, long long watched,
                      unsigned long long id_hash, long long stream_time):
        return self.windows.apply(value, KINDS[kind], t_ms, watched, id_hash, stream_time)
