# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""models.user, compiled for the usual events: those whose ids, by the index, are in no block.

models.dedup and models.user document the layout and handle the other events; this gives the same
bytes.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from models import dedup
from models.counters import USER

from accelerator.counters cimport MAX_ROW_BYTES, PANE, Shape, count_event, shape_of
from accelerator.keys cimport MAX_DIGITS, MAX_KEY, first_digit
from accelerator.layer cimport evict, hold, key_from, make_row, value_text
from accelerator.numbers cimport u16, u32, u64

cdef enum:
    HEADER = 4
    ID = 12
    TIME = 4
    PRINT = 2
    SEALED_HEADER = 9
    BLOCK_IDS = 16
    ENTRY = 36
    MAX_BLOCKS = 255

cdef int VERSION = USER.version
cdef int INDEXED = dedup.INDEXED
cdef int BLOCK_VERSION = dedup.BLOCK_VERSION
cdef int INDEX_VERSION = dedup.INDEX_VERSION

cdef Shape SHAPE
shape_of(USER, &SHAPE)


cdef Key index_key(const Key *user, unsigned char *text) noexcept nogil:
    """models.dedup.index_key, written to `text`, MAX_KEY bytes."""
    return _marked(user, b"i", 1, text)


cdef Key block_key(const Key *user, int number, unsigned char *text) noexcept nogil:
    """models.dedup.block_key, written to `text`, MAX_KEY bytes."""
    cdef unsigned char[MAX_DIGITS] digits
    cdef int first = first_digit(number, digits)
    return _marked(user, digits + first, MAX_DIGITS - first, text)


cdef inline Key _marked(const Key *user, const unsigned char *mark, int size,
                        unsigned char *text) noexcept nogil:
    memcpy(text, user.text, user.size)
    text[user.size] = c":"
    memcpy(text + user.size + 1, mark, size)
    return key_from(text, user.size + 1 + size)


cdef inline void _write_header(unsigned char *at, int version, uint64_t newest) noexcept nogil:
    """Write the header of a sealed row."""
    at[0] = version
    memcpy(at + 1, &newest, 8)


cdef bint _seal(Blocks *changed, const Key *key, const unsigned char *ids, int number,
                const unsigned char *entries, Py_ssize_t size, long long stream_time) noexcept nogil:
    """Make a block of ids, and the index with its entry after `entries`; False: no memory."""
    cdef const unsigned char *time = ids + ID * BLOCK_IDS - TIME
    cdef uint32_t age = <uint32_t> stream_time - u32(time)
    cdef uint64_t newest = stream_time - age
    cdef unsigned char[MAX_KEY] text
    cdef Key named = index_key(key, text)
    cdef unsigned char *out
    cdef int i
    changed.is_sealed, changed.number = True, number
    _write_header(changed.sealed, BLOCK_VERSION, newest)
    memcpy(changed.sealed + SEALED_HEADER, ids, ID * BLOCK_IDS)
    changed.index = make_row(&named, SEALED_HEADER + size + ENTRY)
    if changed.index == NULL:
        return False
    out = value_text(changed.index)
    _write_header(out, INDEX_VERSION, newest)
    out += SEALED_HEADER
    if size:
        memcpy(out, entries, size)
        out += size
    for i in range(BLOCK_IDS):
        memcpy(out + PRINT * i, ids + ID * i, PRINT)
    memcpy(out + PRINT * BLOCK_IDS, time, TIME)
    return True


cdef bint _drop_index(Blocks *changed, const Key *key) noexcept nogil:
    """Make the row that deletes the index; False: no memory."""
    cdef unsigned char[MAX_KEY] text
    cdef Key named = index_key(key, text)
    changed.index = make_row(&named, -1)
    return changed.index != NULL


cdef inline bint _is_in(const unsigned char *entry, uint16_t wanted) noexcept nogil:
    """Whether an entry of an index has the low bits of a hash."""
    cdef bint found = False
    cdef int i
    for i in range(BLOCK_IDS):
        found |= u16(entry + PRINT * i) == wanted
    return found


cdef class UserWindows:
    """models.user.UserWindows, with the usual events compiled."""

    def __init__(self, windows):
        self.windows = windows
        self.step, self.per_step = windows.slices.step, windows.per_step
        self.other_panes = windows.slices.panes - 1
        self.horizon = windows._dedup.horizon

    def in_units(self, unit_ms):
        """See models.user.UserWindows."""
        windows = self.windows.in_units(unit_ms)
        return self if windows is self.windows else UserWindows(windows)

    cdef bint asks_index(self, Row *old, long long stream_time) noexcept nogil:
        """Whether an event of the user with this row reads the index of sealed ids."""
        cdef const unsigned char *data
        if old == NULL or old.value_size < HEADER + TIME:
            return False
        data = value_text(old)
        return (INDEXED <= data[0] <= VERSION and data[1]
                and <uint32_t> (<uint32_t> stream_time - u32(data + HEADER)) <= self.horizon)

    cdef Outcome apply(self, Row *old, Row *index, const Key *key, int kind, long long t_ms,
                       const uint64_t *amounts, uint64_t id_hash, long long stream_time,
                       Row **new, Blocks *changed) noexcept nogil:
        """Apply an event that is not late, and return its outcome.

        If it is APPLIED, `new` is the user's new row, which the caller must evict or put, and
        `changed` has the changes of the user's blocks. `index` is their index if `asks_index`;
        NULL: not in memory. The new row is linked to the index for the next event.
        """
        cdef long long per_step = self.per_step, pane = t_ms // self.step * per_step
        cdef long long first_pane = (stream_time // self.step - self.other_panes) * per_step
        cdef long long last_pane
        cdef uint32_t now = <uint32_t> stream_time, own_pane = <uint32_t> pane
        cdef Py_ssize_t row_size = SHAPE.row_size
        cdef Py_ssize_t size = 0, blocks = 0, gone = 0, opened = 0, first = 0, i
        cdef Py_ssize_t older_size = 0, newer_size = 0
        cdef const unsigned char *data = NULL
        cdef const unsigned char *entries = NULL
        cdef const unsigned char *ids = NULL
        cdef const unsigned char *rows = NULL
        # The current row of the event's pane; NULL: there is none.
        cdef const unsigned char *same = NULL
        cdef const unsigned char *newer = NULL
        cdef uint16_t wanted = <uint16_t> id_hash
        changed.is_sealed, changed.index, changed.gone, changed.first = False, NULL, 0, 0
        if old != NULL and old.value_size > 0:
            data, size = value_text(old), old.value_size
        if size > 0:
            if size < HEADER + row_size or data[0] != VERSION:
                return RARE
            blocks, opened, changed.first = data[1], data[3], data[2]
            ids = data + HEADER + (TIME if blocks else 0)
            rows = ids + ID * opened
            newer = data + size
            last_pane = u32(newer - row_size)
            if per_step != 1:
                if last_pane % per_step:
                    return RARE
                last_pane //= per_step
            if (newer - rows < row_size
                    or stream_time - (last_pane + self.other_panes + 1) * self.step > self.horizon):
                return RARE
            if blocks and <uint32_t> (now - u32(data + HEADER)) > self.horizon:
                gone = blocks
            elif blocks:
                if index == NULL or index.value_size != SEALED_HEADER + ENTRY * blocks:
                    return RARE
                entries = value_text(index)
                if entries[0] != INDEX_VERSION:
                    return RARE
                entries += SEALED_HEADER
                while gone < blocks and (
                        <uint32_t> (now - u32(entries + ENTRY * (gone + 1) - TIME)) > self.horizon):
                    gone += 1
                for i in range(gone, blocks):
                    if _is_in(entries + ENTRY * i, wanted):
                        return RARE
            i = opened - 1
            while i >= 0 and u64(ids + ID * i) != id_hash:
                i -= 1
            # An earlier entry of the same id is older still.
            if i >= 0 and <uint32_t> (now - u32(ids + ID * i + 8)) <= self.horizon:
                return DUPLICATE
            while first < opened and <uint32_t> (now - u32(ids + ID * first + 8)) > self.horizon:
                first += 1
            if opened - first > BLOCK_IDS or (
                opened - first == BLOCK_IDS and blocks - gone == MAX_BLOCKS
            ):
                return RARE
            # Nearly always the event's pane is the newest.
            while newer - rows >= row_size and u32(newer - row_size) > pane:
                newer -= row_size
            newer_size, older_size = data + size - newer, newer - rows
            if older_size >= row_size and u32(newer - row_size) == pane:
                same = newer - row_size
                older_size -= row_size
            while older_size >= row_size and u32(rows) < first_pane:
                rows += row_size
                older_size -= row_size
        cdef Py_ssize_t kept = opened - first
        cdef bint seals = kept == BLOCK_IDS
        cdef Py_ssize_t known = blocks
        if seals or gone == blocks:
            changed.gone, known = gone, blocks - gone + seals
        new[0] = make_row(
            key, HEADER + (TIME if known else 0) + ID * (0 if seals else kept) + ID
            + older_size + row_size + newer_size
        )
        if new[0] == NULL:
            return NO_MEMORY
        if seals and not _seal(changed, key, ids + ID * first, (changed.first + blocks) & 255,
                               entries + ENTRY * gone if gone < blocks else NULL,
                               ENTRY * (blocks - gone), stream_time):
            evict(new[0])
            return NO_MEMORY
        if changed.gone and not known and not _drop_index(changed, key):
            evict(new[0])
            return NO_MEMORY
        if known:
            new[0].linked = hold(changed.index if seals else index)
        cdef unsigned char *out = value_text(new[0])
        out[0] = VERSION
        out[1] = <unsigned char> known
        out[2] = <unsigned char> (changed.first + changed.gone)
        out[3] = <unsigned char> ((0 if seals else kept) + 1)
        out += HEADER
        if known:
            memcpy(out, ids + ID * opened - TIME if seals else data + HEADER, TIME)
            out += TIME
        if kept and not seals:
            memcpy(out, ids + ID * first, ID * kept)
            out += ID * kept
        memcpy(out, &id_hash, 8)
        memcpy(out + 8, &now, 4)
        out += ID
        if older_size:
            memcpy(out, rows, older_size)
            out += older_size
        if same != NULL:
            memcpy(out, same, row_size)
        else:
            memcpy(out, &own_pane, PANE)
            memset(out + PANE, 0, row_size - PANE)
        count_event(&SHAPE, kind, amounts, out + PANE)
        if newer_size:
            memcpy(out + row_size, newer, newer_size)
        return APPLIED

    cdef bint apply_rare(self, object rows, bytes key, int kind, long long t_ms,
                         const uint64_t *amounts, uint64_t id_hash, long long stream_time) except -1:
        """Apply any event in the plain form; False: it is a duplicate."""
        cdef unsigned char[MAX_ROW_BYTES] row
        memset(row, 0, SHAPE.row_size)
        count_event(&SHAPE, kind, amounts, row + PANE)
        increments = USER.rows.unpack_from(row[:SHAPE.row_size])[1:]
        return self.windows.apply(rows, key, increments, t_ms, id_hash, stream_time)
