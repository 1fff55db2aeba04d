# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""models.rows, compiled."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE

from accelerator.keys cimport MAX_DIGITS
from models import dedup, rows
from models.counters import USER

cdef enum Kind:
    # Kinds of keys.
    FOREIGN
    NUMBER
    BLOCK
    INDEX

cdef Py_ssize_t SEALED_HEADER = dedup.SEALED_HEADER_SIZE, ENTRY = dedup.ENTRY_SIZE
cdef Py_ssize_t MAX_BLOCKS = dedup.MAX_BLOCKS, BLOCK_SIZE = rows.BLOCK_SIZE
cdef Py_ssize_t HEADER = dedup.HEADER_SIZE, TIME = dedup.TIME_SIZE, ID = dedup.ID_SIZE
cdef int BLOCK_VERSION = dedup.BLOCK_VERSION, INDEX_VERSION = dedup.INDEX_VERSION
cdef int INDEXED = dedup.INDEXED


cdef struct Table:
    # Bytes before the pane rows in a summed table's value; 0: a user's, where ids add to it.
    Py_ssize_t header
    # Bytes of a pane's row by the version of the value; 0: there is no such version.
    Py_ssize_t[256] row_sizes


cdef Table _table(entity, Py_ssize_t header):
    cdef Table table
    table.header = header
    for version in range(256):
        table.row_sizes[version] = entity.row_sizes.get(version, 0)
    return table


cdef Table USERS = _table(USER, 0)


cdef Py_ssize_t _digits(const unsigned char *text, Py_ssize_t size, Py_ssize_t most) noexcept nogil:
    """Return the length of the decimal number at the start of a text; 0: none, or a leading 0."""
    cdef Py_ssize_t at = 0
    while at < size and at < most and c"0" <= text[at] <= c"9":
        at += 1
    return 0 if at > 1 and text[0] == c"0" else at


cdef Kind _kind(const unsigned char *key, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t at = _digits(key, size, MAX_DIGITS), rest
    cdef int block = 0
    if at == 0:
        return FOREIGN
    if at == size:
        return NUMBER
    rest = size - at - 1
    if key[at] != c":" or rest == 0:
        return FOREIGN
    key += at + 1
    if rest == 1 and key[0] == c"i":
        return INDEX
    if _digits(key, rest, 3) != rest:
        return FOREIGN
    for at in range(rest):
        block = 10 * block + key[at] - c"0"
    return BLOCK if block < 256 else FOREIGN


cdef bint _is_user_row(Kind kind, const unsigned char *row, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t panes = size - HEADER
    if kind == FOREIGN or size == 0:
        return False
    if kind == INDEX:
        size -= SEALED_HEADER
        return row[0] == INDEX_VERSION and size % ENTRY == 0 and ENTRY <= size <= MAX_BLOCKS * ENTRY
    if kind == BLOCK:
        return row[0] == BLOCK_VERSION and size == BLOCK_SIZE
    if panes < 0 or USERS.row_sizes[row[0]] == 0:
        return False
    if row[0] >= INDEXED:
        panes -= (TIME if row[1] else 0) + ID * row[3]
    elif row[0] == 2:
        panes -= ENTRY * row[1] + ID * row[3]
    else:
        panes -= ID * (row[2] | row[3] << 8)
    return panes >= 0 and panes % USERS.row_sizes[row[0]] == 0


cdef bint _is_row(const Table *table, Kind kind, const unsigned char *row,
                  Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t panes = size - table.header
    if table.header == 0:
        return _is_user_row(kind, row, size)
    return (kind == NUMBER and panes >= 0 and table.row_sizes[row[0]] != 0
            and panes % table.row_sizes[row[0]] == 0)


cdef list _foreign(dict changes, bytes internal, const Table *table):
    cdef list found = []
    cdef const unsigned char *data
    cdef Py_ssize_t size
    cdef Kind kind
    for key, row in changes.items():
        if row is None and key is not None:
            continue
        if PyBytes_CheckExact(key) and PyBytes_CheckExact(row):
            kind = _kind(<const unsigned char *> PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
            data, size = <const unsigned char *> PyBytes_AS_STRING(row), PyBytes_GET_SIZE(row)
            if _is_row(table, kind, data, size):
                continue
        if key != internal:
            found.append(key)
    return found


def foreign_users(dict changes not None, bytes internal not None):
    """See models.rows."""
    return _foreign(changes, internal, &USERS)


cdef class _Sums:
    """Finds the keys of rows that are not values of a summed table."""

    cdef Table _of

    def __init__(self, entity, Py_ssize_t header):
        self._of = _table(entity, header)

    def __call__(self, dict changes not None, bytes internal not None):
        return _foreign(changes, internal, &self._of)


def foreign_sums(entity, Py_ssize_t header_size):
    """See models.rows."""
    return _Sums(entity, header_size)
