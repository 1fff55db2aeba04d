# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Decoding of an event, or of the reason why there is none, from the bytes of a value.

A verdict is the same as that of models.event. It is UNSURE, so that models.event judges, for values
that are not JSON and for rare ones, such as a repeated name in an object, a leap second or a
position with an exponent.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memcmp

from accelerator.times cimport Judgement, time_of
from accelerator.times cimport RIGHT as RIGHT_TIME, UNSURE as UNSURE_TIME
from accelerator.tokens cimport (
    SAFE_DIGITS, Number, Text, is_digit, null_at, number_at, skip_blanks, text_at, value_at
)

from models import lenient
from models.schema import MAX_DURATION_MS, MAX_ID, MAX_ID_LENGTH, MAX_VALUE_BYTES

cdef enum:
    # Known fields, one bit each; the required ones first, in their order.
    EVENT_ID = 1, EVENT_TYPE = 2, USER_ID = 4, VIDEO_ID = 8, TIMESTAMP = 16
    REQUIRED = 31
    CREATOR_ID = 32, SESSION_ID = 64, METADATA = 128
    DURATION = 256, POSITION = 512, DEVICE = 1024
    # models.entity.POSITION_UNITS. The error of a float is less than a millionth of a unit.
    UNITS = 1000000000
    NEARLY = 1000000
    # Fraction digits of a position that are exact here.
    EXACT_DIGITS = 18
    # Fraction digits by which a float above 1 always differs from 1.
    TOLD_DIGITS = 15

cdef uint64_t LONGEST_DURATION = MAX_DURATION_MS, LARGEST_ID = MAX_ID
cdef Py_ssize_t LONGEST_ID = MAX_ID_LENGTH, LONGEST_VALUE = MAX_VALUE_BYTES

#: Names of the optional values, in the order of their bits from CREATOR_ID on.
cdef list WRONG_NAMES = [
    *("creator_id", "session_id", "metadata"),
    *("metadata.view_duration_ms", "metadata.video_position", "metadata.device_type"),
]
cdef list MISSING_FIELDS = list(lenient.MISSING.values())
cdef list INVALID_FIELDS = list(lenient.INVALID.values())


cdef object rejection_of(ScanResult verdict, int field):
    """Return the rejection by models.event for a verdict and a required field."""
    if verdict == NOT_AN_OBJECT:
        return lenient.NOT_AN_OBJECT
    if verdict == UNKNOWN_TYPE:
        return lenient.UNKNOWN_TYPE
    return (MISSING_FIELDS if verdict == MISSING else INVALID_FIELDS)[field]


cdef int note_wrong(const Event *event, list names) except -1:
    """Append the names of the event's invalid optional values."""
    cdef int number
    for number in range(len(WRONG_NAMES)):
        if event.wrong >> number & CREATOR_ID:
            names.append(WRONG_NAMES[number])
    return 0


cdef inline bint _is(const unsigned char *start, Py_ssize_t size, const char *text,
                     Py_ssize_t length) noexcept nogil:
    return size == length and memcmp(start, text, length) == 0


cdef int kind_of(const unsigned char *text, Py_ssize_t size) noexcept nogil:
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


cdef inline int _field_of_metadata(const unsigned char *name, Py_ssize_t size) noexcept nogil:
    if _is(name, size, "view_duration_ms", 16):
        return DURATION
    if _is(name, size, "video_position", 14):
        return POSITION
    return DEVICE if _is(name, size, "device_type", 11) else 0


cdef const unsigned char *_odd_whole(const unsigned char *at, uint64_t most, uint64_t *whole,
                                     bint *is_right) noexcept nogil:
    """Return the end of any value, and whether it is a whole number from 0 to `most`."""
    cdef Number number
    cdef uint64_t value = 0
    cdef Py_ssize_t i
    is_right[0] = False
    if at[0] != c"-" and not is_digit(at[0]):
        return value_at(at)
    at = number_at(at, &number)
    if at == NULL or number.is_negative and number.digits[0] == c"0" and number.is_whole:
        return NULL
    if number.is_whole and not number.is_negative and number.count <= SAFE_DIGITS:
        for i in range(number.count):
            value = value * 10 + (number.digits[i] - c"0")
        whole[0], is_right[0] = value, value <= most
    return at


cdef inline const unsigned char *_whole(const unsigned char *at, uint64_t most, uint64_t *whole,
                                        bint *is_right) noexcept nogil:
    """The fast path of _odd_whole, for usual values."""
    cdef const unsigned char *start = at
    cdef uint64_t value = 0
    while is_digit(at[0]) and at - start < SAFE_DIGITS:
        value = value * 10 + (at[0] - c"0")
        at += 1
    if (at == start or start[0] == c"0" or at[0] != c"," and at[0] != c"}" or value > most):
        return _odd_whole(start, most, whole, is_right)
    whole[0], is_right[0] = value, True
    return at


cdef bint _is_zero(const unsigned char *digits, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        if digits[i] != c"0":
            return False
    return True


cdef const unsigned char *_position(const unsigned char *at, uint64_t *units,
                                    bint *is_right) noexcept nogil:
    """Return the end of any value, and whether it is a number from 0 to 1, as rounded billionths.

    NULL also if models.event, which uses floats, might round it the other way.
    """
    cdef Number number
    cdef uint64_t value = 0, scale = 1, rest, middle
    cdef Py_ssize_t i
    is_right[0] = False
    if at[0] != c"-" and not is_digit(at[0]):
        return value_at(at)
    at = number_at(at, &number)
    if at == NULL or number.has_exponent:
        return NULL
    cdef bint has_no_fraction = _is_zero(number.fraction, number.fraction_count)
    if number.is_negative:
        # -0.0 is 0.
        return NULL if number.digits[0] == c"0" and has_no_fraction else at
    if number.count > 1 or number.digits[0] > c"1":
        return at
    if number.digits[0] == c"1" and not has_no_fraction:
        # As a float, 1.0000000000000001 is 1.
        return NULL if _is_zero(number.fraction, min(number.fraction_count, TOLD_DIGITS)) else at
    if number.fraction_count > EXACT_DIGITS:
        return NULL
    is_right[0] = True
    if number.digits[0] == c"1":
        units[0] = UNITS
        return at
    for i in range(number.fraction_count):
        value = value * 10 + (number.fraction[i] - c"0")
        scale *= 10
    if scale <= UNITS:
        units[0] = value * (UNITS // scale)
        return at
    scale //= UNITS
    rest, middle = value % scale, scale // 2
    if (rest - middle if rest > middle else middle - rest) <= scale // NEARLY:
        return NULL
    units[0] = value // scale + (rest > middle)
    return at


cdef const unsigned char *_metadata(const unsigned char *at, Event *event,
                                    Rooms *rooms) noexcept nogil:
    """Return the end of a metadata object."""
    cdef Text name
    cdef int seen = 0, field
    cdef uint64_t number = 0
    cdef bint is_right, is_open
    at = skip_blanks(at + 1)
    is_open = at[0] != c"}"
    while is_open:
        at = text_at(at, &name, rooms.other)
        if at == NULL:
            return NULL
        field = _field_of_metadata(name.start, name.size)
        at = skip_blanks(at)
        if seen & field or at[0] != c":":
            return NULL
        seen |= field
        at, is_right = skip_blanks(at + 1), True
        if field == 0 or at[0] == c"n":
            at = value_at(at)
        elif field == DURATION:
            at = _whole(at, LONGEST_DURATION, &number, &is_right)
            if is_right:
                event.amounts[WATCHED] = number
        elif field == POSITION:
            at = _position(at, &number, &is_right)
            if is_right:
                event.amounts[REACHED], event.amounts[POSITIONS] = number, 1
        elif at[0] == c'"':
            at = text_at(at, &name, rooms.other)
        else:
            at, is_right = value_at(at), False
        if at == NULL:
            return NULL
        if not is_right:
            event.wrong |= field
        at = skip_blanks(at)
        is_open = at[0] == c","
        if is_open:
            at = skip_blanks(at + 1)
    return at + 1 if at[0] == c"}" else NULL


cdef const unsigned char *_text_value(const unsigned char *at, int field, Event *event, Rooms *rooms,
                                      bint *is_right) noexcept nogil:
    """Return the end of a text that is the value of a known field of an event."""
    cdef Text text
    cdef Judgement judgement
    cdef unsigned char *room = rooms.other
    if field == EVENT_ID:
        room = rooms.event_id
    at = text_at(at, &text, room)
    if at == NULL:
        return NULL
    if field == EVENT_ID:
        event.event_id, event.event_id_size = text.start, text.size
        is_right[0] = 1 <= text.length <= LONGEST_ID
    elif field == EVENT_TYPE:
        event.kind = kind_of(text.start, text.size)
    elif field == TIMESTAMP:
        judgement = time_of(text.start, text.size, &event.t_ms)
        if judgement == UNSURE_TIME:
            return NULL
        is_right[0] = judgement == RIGHT_TIME
    return at


cdef inline const unsigned char *_value(const unsigned char *at, int field, Event *event,
                                        Rooms *rooms, bint *is_right) noexcept nogil:
    """Return the end of the value of a known field of an event."""
    cdef uint64_t number = 0
    is_right[0] = True
    if field & (USER_ID | VIDEO_ID):
        at = _whole(at, LARGEST_ID, &number, is_right)
        if field == USER_ID:
            event.user_id = number
        else:
            event.video_id = number
        return at
    if not field & REQUIRED and at[0] == c"n":
        return null_at(at)
    if field == CREATOR_ID:
        at = _whole(at, LARGEST_ID, &number, is_right)
        if is_right[0]:
            event.creator_id = number
        return at
    if at[0] == c'"' and field != METADATA:
        return _text_value(at, field, event, rooms, is_right)
    if at[0] == c"{" and field == METADATA:
        return _metadata(at, event, rooms)
    is_right[0] = False
    return value_at(at)


cdef inline int _first_of(int fields) noexcept nogil:
    cdef int number = 0
    while not fields >> number & 1:
        number += 1
    return number


cdef ScanResult scan(const unsigned char *text, Py_ssize_t size, Event *event, Rooms *rooms,
                  int *field) noexcept nogil:
    """Judge a value: RIGHT sets `event`; MISSING and INVALID set `field`, the required field.

    A NUL must follow the `size` bytes of `text`. The event's id points into it, or into `rooms`.
    """
    cdef const unsigned char *at = skip_blanks(text)
    cdef Text name
    cdef int seen = 0, invalid = 0, known
    cdef bint is_right, is_open
    event.amounts[ONE], event.amounts[WATCHED] = 1, 0
    event.amounts[POSITIONS], event.amounts[REACHED] = 0, 0
    event.creator_id, event.kind, event.wrong = -1, -1, 0
    if size > LONGEST_VALUE:
        return UNSURE
    if at[0] != c"{":
        at = value_at(at)
        return NOT_AN_OBJECT if at != NULL and skip_blanks(at) == text + size else UNSURE
    at = skip_blanks(at + 1)
    is_open = at[0] != c"}"
    while is_open:
        at = text_at(at, &name, rooms.other)
        if at == NULL:
            return UNSURE
        known = _field(name.start, name.size)
        at = skip_blanks(at)
        if seen & known or at[0] != c":":
            return UNSURE
        seen |= known
        at = skip_blanks(at + 1)
        if known:
            at = _value(at, known, event, rooms, &is_right)
            if not is_right:
                invalid |= known
        else:
            at = value_at(at)
        if at == NULL:
            return UNSURE
        at = skip_blanks(at)
        is_open = at[0] == c","
        if is_open:
            at = skip_blanks(at + 1)
    if at[0] != c"}" or skip_blanks(at + 1) != text + size:
        return UNSURE
    if seen & REQUIRED != REQUIRED:
        field[0] = _first_of(~seen)
        return MISSING
    if event.kind < 0 and not invalid & (EVENT_ID | EVENT_TYPE):
        return UNKNOWN_TYPE
    if invalid & REQUIRED:
        field[0] = _first_of(invalid)
        return INVALID
    event.wrong |= invalid
    return RIGHT
