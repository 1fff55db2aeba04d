# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The common form of an event, read straight from its bytes.

What has this form: an object of the known fields, each once, and of others whose values are plain;
texts in printable ASCII without escapes; whole numbers in digits; a time in UTC that ends in Z.
Nearly every event does. Anything else, right or wrong, is for models.event to judge: this reads
the event as models.event would, or it does not read it at all.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memcmp

cdef enum:
    # Fields seen, a bit each.
    EVENT_ID = 1, EVENT_TYPE = 2, USER_ID = 4, VIDEO_ID = 8, TIMESTAMP = 16
    REQUIRED = 31
    CREATOR_ID = 32, SESSION_ID = 64, METADATA = 128
    DURATION = 256, POSITION = 512, DEVICE = 1024
    # Digits that surely fit in 63 bits.
    SAFE_DIGITS = 18
    LONGEST_ID = 128
    LONGEST_TEXT = 65536
    FIRST_YEAR = 1970
    # Of a position: models.entity.POSITION_UNITS. A float of one is off by less than a millionth.
    UNITS = 1000000000
    NEARLY = 1000000

cdef long long LONGEST_DURATION = 1LL << 53

cdef unsigned char[256] PLAIN
cdef int _code
for _code in range(256):
    PLAIN[_code] = 0x20 <= _code < 0x7f and _code != ord('"') and _code != ord("\\")


# The text ends in a NUL, as all bytes objects do: it fits nowhere, so that nothing reads past it.

cdef inline const unsigned char *_skip(const unsigned char *at) noexcept nogil:
    while at[0] == c" " or at[0] == c"\n" or at[0] == c"\r" or at[0] == c"\t":
        at += 1
    return at


cdef inline const unsigned char *_text(const unsigned char *at) noexcept nogil:
    """Where the quote is that ends the text which begins here; NULL when it is not plain."""
    if at[0] != c'"':
        return NULL
    at += 1
    while PLAIN[at[0]]:
        at += 1
    return at if at[0] == c'"' else NULL


cdef inline const unsigned char *_key(const unsigned char *at, Py_ssize_t *size) noexcept nogil:
    """Where the value of a member of an object begins; `size` is that of its name's content."""
    cdef const unsigned char *start = at + 1
    at = _text(at)
    if at == NULL:
        return NULL
    size[0] = at - start
    at = _skip(at + 1)
    return _skip(at + 1) if at[0] == c":" else NULL


cdef inline bint _is_digit(unsigned char code) noexcept nogil:
    return code >= c"0" and code <= c"9"


cdef inline const unsigned char *_number(const unsigned char *at, long long *number) noexcept nogil:
    """Behind a whole number from 0 on; NULL when there is none, or one that is too long."""
    cdef const unsigned char *start = at
    cdef long long value = 0
    while _is_digit(at[0]):
        value = value * 10 + (at[0] - c"0")
        at += 1
        if at - start > SAFE_DIGITS:
            return NULL
    if at == start or (start[0] == c"0" and at - start > 1):
        return NULL
    number[0] = value
    return at


cdef inline bint _is(const unsigned char *start, Py_ssize_t size, const char *text,
                     Py_ssize_t length) noexcept nogil:
    return size == length and memcmp(start, text, length) == 0


cdef inline const unsigned char *_null(const unsigned char *at) noexcept nogil:
    return at + 4 if (at[0] == c"n" and at[1] == c"u" and at[2] == c"l" and at[3] == c"l") else NULL


cdef const unsigned char *_other(const unsigned char *at) noexcept nogil:
    """Behind the value of an unknown field: a text, a whole number, true, false or null."""
    cdef long long ignored
    if at[0] == c'"':
        at = _text(at)
        return NULL if at == NULL else at + 1
    if _is_digit(at[0]):
        return _number(at, &ignored)
    if at[0] == c"t":
        return at + 4 if (at[1] == c"r" and at[2] == c"u" and at[3] == c"e") else NULL
    if at[0] == c"f":
        return at + 5 if (
            at[1] == c"a" and at[2] == c"l" and at[3] == c"s" and at[4] == c"e"
        ) else NULL
    return _null(at)


cdef const unsigned char *_position(const unsigned char *at, uint64_t *units) noexcept nogil:
    """Behind a number from 0 to 1 without an exponent; `units` are billionths of it, rounded.

    NULL also where a float, which models.event has, might be rounded the other way.
    """
    cdef unsigned char first = at[0]
    cdef uint64_t number = first - c"0", scale = 1, rest, middle
    cdef const unsigned char *digits
    if first != c"0" and first != c"1":
        return NULL
    at += 1
    if at[0] == c".":
        at += 1
        digits = at
        while _is_digit(at[0]) if first == c"0" else at[0] == c"0":
            if at - digits == SAFE_DIGITS:
                return NULL
            number = number * 10 + (at[0] - c"0")
            scale *= 10
            at += 1
        if at == digits:
            return NULL
    if scale <= UNITS:
        units[0] = number * (UNITS // scale)
        return at
    scale //= UNITS
    rest, middle = number % scale, scale // 2
    if (rest - middle if rest > middle else middle - rest) <= scale // NEARLY:
        return NULL
    units[0] = number // scale + (rest > middle)
    return at


cdef inline int _two(const unsigned char *at) noexcept nogil:
    if not (_is_digit(at[0]) and _is_digit(at[1])):
        return -1
    return (at[0] - c"0") * 10 + (at[1] - c"0")


cdef inline int _days_of(int year, int month) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef inline long long _days_since_1970(int year, int month, int day) noexcept nogil:
    """By years that begin in March, in eras of 400 years that all have 146,097 days."""
    cdef long long y = year - (month <= 2)
    cdef long long era = y // 400
    cdef long long of_era = y - era * 400
    cdef long long of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


cdef bint _time(const unsigned char *at, Py_ssize_t size, long long *t_ms) noexcept nogil:
    """Read 2025-01-15T14:30:45.123Z, floored to a millisecond."""
    if size < 20 or size > 30 or at[size - 1] != c"Z":
        return False
    cdef int century = _two(at), year = _two(at + 2), month = _two(at + 5), day = _two(at + 8)
    cdef int hour = _two(at + 11), minute = _two(at + 14), second = _two(at + 17)
    if (at[4] != c"-" or at[7] != c"-" or at[10] != c"T" or at[13] != c":" or at[16] != c":"
            or century < 0 or year < 0 or hour < 0 or minute < 0 or second < 0):
        return False
    year += century * 100
    if (year < FIRST_YEAR or month < 1 or month > 12 or day < 1 or day > _days_of(year, month)
            or hour > 23 or minute > 59 or second > 59):
        return False
    cdef int ms = 0, weight = 100
    cdef Py_ssize_t i
    if size > 20:
        if at[19] != c"." or size == 21:
            return False
        for i in range(20, size - 1):
            if not _is_digit(at[i]):
                return False
            ms += weight * (at[i] - c"0")
            weight //= 10
    cdef long long days = _days_since_1970(year, month, day)
    t_ms[0] = ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + ms
    return True


cdef int _kind(const unsigned char *text, Py_ssize_t size) noexcept nogil:
    if _is(text, size, "video_view", 10):
        return VIEW
    if _is(text, size, "like", 4):
        return LIKE
    if _is(text, size, "comment", 7):
        return COMMENT
    if _is(text, size, "share", 5):
        return SHARE
    if _is(text, size, "save", 4):
        return SAVE
    if _is(text, size, "follow", 6):
        return FOLLOW
    return -1


cdef inline int _field(const unsigned char *name, Py_ssize_t size) noexcept nogil:
    if size == 7:
        return USER_ID if memcmp(name, b"user_id", 7) == 0 else 0
    if size == 8:
        if memcmp(name, b"event_id", 8) == 0:
            return EVENT_ID
        if memcmp(name, b"video_id", 8) == 0:
            return VIDEO_ID
        return METADATA if memcmp(name, b"metadata", 8) == 0 else 0
    if size == 9:
        return TIMESTAMP if memcmp(name, b"timestamp", 9) == 0 else 0
    if size == 10:
        if memcmp(name, b"event_type", 10) == 0:
            return EVENT_TYPE
        if memcmp(name, b"creator_id", 10) == 0:
            return CREATOR_ID
        return SESSION_ID if memcmp(name, b"session_id", 10) == 0 else 0
    return 0


cdef const unsigned char *_metadata(const unsigned char *at, Event *event) noexcept nogil:
    """Behind the object of metadata, or null."""
    cdef const unsigned char *name
    cdef Py_ssize_t size
    cdef int seen = 0, field
    cdef long long number
    if at[0] != c"{":
        return _null(at)
    at = _skip(at + 1)
    if at[0] == c"}":
        return at + 1
    while True:
        name = at + 1
        at = _key(at, &size)
        if at == NULL:
            return NULL
        field = 0
        if _is(name, size, "view_duration_ms", 16):
            field = DURATION
        elif _is(name, size, "video_position", 14):
            field = POSITION
        elif _is(name, size, "device_type", 11):
            field = DEVICE
        if seen & field:
            return NULL
        seen |= field
        if field == 0 or at[0] == c"n":
            at = _other(at)
        elif field == DURATION:
            at = _number(at, &number)
            if at == NULL or number > LONGEST_DURATION:
                return NULL
            event.amounts[WATCHED] = number
        elif field == POSITION:
            at = _position(at, &event.amounts[REACHED])
            event.amounts[POSITIONS] = 1
        else:
            at = _text(at)
            if at != NULL:
                at += 1
        if at == NULL:
            return NULL
        at = _skip(at)
        if at[0] == c"}":
            return at + 1
        if at[0] != c",":
            return NULL
        at = _skip(at + 1)


cdef const unsigned char *_value(
    const unsigned char *at, int field, Event *event
) noexcept nogil:
    """Behind the value of a known field of an event."""
    cdef const unsigned char *start = at + 1
    if field == METADATA:
        return _metadata(at, event)
    if field & (USER_ID | VIDEO_ID):
        return _number(at, <long long *> (&event.user_id if field == USER_ID else &event.video_id))
    if field == CREATOR_ID:
        return _null(at) if at[0] == c"n" else _number(at, &event.creator_id)
    if field == SESSION_ID and at[0] == c"n":
        return _null(at)
    at = _text(at)
    if at == NULL:
        return NULL
    cdef Py_ssize_t size = at - start
    if field == EVENT_ID:
        if size < 1 or size > LONGEST_ID:
            return NULL
        event.event_id = start
        event.event_id_size = size
    elif field == EVENT_TYPE:
        event.kind = _kind(start, size)
        if event.kind < 0:
            return NULL
    elif field == TIMESTAMP and not _time(start, size, &event.t_ms):
        return NULL
    return at + 1


cdef bint scan(const unsigned char *text, Py_ssize_t size, Event *event) noexcept nogil:
    """Read an event of the common form; False when it is not of that form.

    `text` ends in a NUL beyond its size; the event's id points into it.
    """
    cdef const unsigned char *at = _skip(text)
    cdef const unsigned char *name
    cdef Py_ssize_t length
    cdef int seen = 0, field
    event.amounts[ONE], event.amounts[WATCHED] = 1, 0
    event.amounts[POSITIONS], event.amounts[REACHED] = 0, 0
    event.creator_id = -1
    if size > LONGEST_TEXT or at[0] != c"{":
        return False
    at = _skip(at + 1)
    while True:
        name = at + 1
        at = _key(at, &length)
        if at == NULL:
            return False
        field = _field(name, length)
        if seen & field:
            return False
        seen |= field
        at = _value(at, field, event) if field else _other(at)
        if at == NULL:
            return False
        at = _skip(at)
        if at[0] == c"}":
            break
        if at[0] != c",":
            return False
        at = _skip(at + 1)
    return (seen & REQUIRED) == REQUIRED and _skip(at + 1) == text + size
