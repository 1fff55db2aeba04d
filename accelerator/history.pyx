# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What models.user does to a user's value at an event, for the usual events.

An event is usual when it is of the user's newest pane, or of a newer one, and its id is in no
sealed block by its looks. The layout is told in models.seen and models.user, which do the rest: this
gives the same bytes.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from models import seen, user

from accelerator.layer cimport make_row, value_text
from accelerator.scan cimport LIKE, VIEW

cdef enum:
    HEADER = 4
    ID = 12
    TIME = 4
    PRINT = 2
    ROW = 20
    BLOCK_HEADER = 9
    BLOCK_IDS = 16
    MAX_BLOCKS = 255

cdef int VERSION = seen.VERSION
cdef int BLOCK_VERSION = seen.BLOCK_VERSION
cdef tuple KINDS = ("video_view", "like", "", "", "", "")

if (HEADER, ID, ROW, BLOCK_IDS, MAX_BLOCKS, BLOCK_HEADER, BLOCK_SIZE) != (
    seen.HEADER_SIZE, seen.ID_SIZE, user.ROW_SIZE, seen.BLOCK_IDS, seen.MAX_BLOCKS,
    seen._BLOCK.size, seen._BLOCK.size + seen.BLOCK_IDS * seen.ID_SIZE
):
    raise ImportError("models.seen and models.user have another layout")


cdef inline uint16_t _u16(const unsigned char *at) noexcept nogil:
    cdef uint16_t number
    memcpy(&number, at, 2)
    return number


cdef inline uint32_t _u32(const unsigned char *at) noexcept nogil:
    cdef uint32_t number
    memcpy(&number, at, 4)
    return number


cdef inline uint64_t _u64(const unsigned char *at) noexcept nogil:
    cdef uint64_t number
    memcpy(&number, at, 8)
    return number


cdef inline void _write_row(unsigned char *at, uint32_t pane, uint32_t views, uint32_t likes,
                            uint64_t watched) noexcept nogil:
    memcpy(at, &pane, 4)
    memcpy(at + 4, &views, 4)
    memcpy(at + 8, &likes, 4)
    memcpy(at + 12, &watched, 8)


cdef void _seal(Blocks *changed, const unsigned char *ids, int number,
                long long stream_time) noexcept nogil:
    """Make a block of ids."""
    cdef uint32_t age = <uint32_t> stream_time - _u32(ids + ID * (BLOCK_IDS - 1) + 8)
    cdef uint64_t newest = stream_time - age
    changed.is_sealed, changed.number = True, number
    changed.sealed[0] = BLOCK_VERSION
    memcpy(changed.sealed + 1, &newest, 8)
    memcpy(changed.sealed + BLOCK_HEADER, ids, ID * BLOCK_IDS)


cdef class Histories:
    """models.user.UserWindows, faster."""

    def __init__(self, windows):
        self.windows = windows
        self.step = windows.slices.step
        self.other_panes = windows.slices.panes - 1
        self.horizon = windows._seen.horizon

    cdef Outcome apply(self, Row *old, const Key *key, int kind, long long t_ms, long long watched,
                       unsigned long long id_hash, long long stream_time, Row **new,
                       Blocks *changed) noexcept nogil:
        """What becomes of an event that is not late.

        When it is applied, `new` is the user's row after it, to be let go, and `changed` tells of
        the user's blocks.
        """
        cdef long long pane = t_ms // self.step, first_pane = stream_time // self.step - self.other_panes
        cdef long long last_pane
        cdef uint32_t now = <uint32_t> stream_time
        cdef uint32_t views = kind == VIEW, likes = kind == LIKE
        cdef uint64_t watch = watched if kind == VIEW else 0
        cdef Py_ssize_t size = 0, blocks = 0, gone = 0, opened = 0, first = 0, i, rows_size = 0
        cdef const unsigned char *data = NULL
        cdef const unsigned char *prints = NULL
        cdef const unsigned char *ids = NULL
        cdef const unsigned char *rows = NULL
        cdef const unsigned char *last = NULL
        cdef uint16_t wanted = <uint16_t> id_hash
        cdef bint found = False
        changed.is_sealed = False
        if old != NULL and old.value_size > 0:
            data, size = value_text(old), old.value_size
        if size > 0:
            if size < HEADER + ROW or data[0] != VERSION:
                return RARE
            blocks, opened = data[1], data[3]
            prints = data + HEADER + TIME * blocks
            ids = prints + PRINT * BLOCK_IDS * blocks
            rows = ids + ID * opened
            rows_size = data + size - rows
            last = data + size - ROW
            last_pane = _u32(last)
            if (rows_size < ROW or pane < last_pane
                    or stream_time - (last_pane + self.other_panes + 1) * self.step > self.horizon):
                return RARE
            while gone < blocks and <uint32_t> (now - _u32(data + HEADER + TIME * gone)) > self.horizon:
                gone += 1
            for i in range(BLOCK_IDS * gone, BLOCK_IDS * blocks):
                found |= _u16(prints + PRINT * i) == wanted
            if found:
                return RARE
            i = opened - 1
            while i >= 0 and _u64(ids + ID * i) != id_hash:
                i -= 1
            # The same id further down is older still.
            if i >= 0 and <uint32_t> (now - _u32(ids + ID * i + 8)) <= self.horizon:
                return DUPLICATE
            while first < opened and <uint32_t> (now - _u32(ids + ID * first + 8)) > self.horizon:
                first += 1
            if opened - first > BLOCK_IDS or (
                opened - first == BLOCK_IDS and blocks - gone == MAX_BLOCKS
            ):
                return RARE
            while rows_size and _u32(rows) < first_pane:
                rows += ROW
                rows_size -= ROW
            if pane == last_pane:
                if (_u32(last + 4) > 0xFFFFFFFFU - views or _u32(last + 8) > 0xFFFFFFFFU - likes
                        or _u64(last + 12) > 0xFFFFFFFFFFFFFFFFU - watch):
                    return RARE
                views += _u32(last + 4)
                likes += _u32(last + 8)
                watch += _u64(last + 12)
                rows_size -= ROW
        cdef Py_ssize_t kept = opened - first
        cdef bint seals = kept == BLOCK_IDS
        cdef Py_ssize_t kept_blocks = blocks - gone + seals
        changed.gone, changed.first = gone, data[2] if size else 0
        if seals:
            _seal(changed, ids + ID * first, (changed.first + blocks) & 255, stream_time)
            kept = 0
        new[0] = make_row(
            key,
            HEADER + (TIME + PRINT * BLOCK_IDS) * kept_blocks + ID * (kept + 1) + rows_size + ROW,
        )
        if new[0] == NULL:
            return NO_MEMORY
        cdef unsigned char *out = value_text(new[0])
        out[0] = VERSION
        out[1] = <unsigned char> kept_blocks
        out[2] = <unsigned char> (changed.first + gone)
        out[3] = <unsigned char> (kept + 1)
        out += HEADER
        if kept_blocks:
            memcpy(out, data + HEADER + TIME * gone, TIME * (blocks - gone))
            out += TIME * (blocks - gone)
            if seals:
                memcpy(out, ids + ID * (opened - 1) + 8, TIME)
                out += TIME
            memcpy(out, prints + PRINT * BLOCK_IDS * gone, PRINT * BLOCK_IDS * (blocks - gone))
            out += PRINT * BLOCK_IDS * (blocks - gone)
            if seals:
                for i in range(BLOCK_IDS):
                    memcpy(out, ids + ID * (first + i), PRINT)
                    out += PRINT
        if kept:
            memcpy(out, ids + ID * first, ID * kept)
            out += ID * kept
        memcpy(out, &id_hash, 8)
        memcpy(out + 8, &now, 4)
        out += ID
        if rows_size:
            memcpy(out, rows, rows_size)
            out += rows_size
        _write_row(out, <uint32_t> pane, views, likes, watch)
        return APPLIED

    cdef bint apply_rare(self, object rows, bytes key, int kind, long long t_ms, long long watched,
                         unsigned long long id_hash, long long stream_time) except -1:
        """Whether an event counted, any event."""
        return self.windows.apply(rows, key, KINDS[kind], t_ms, watched, id_hash, stream_time)
