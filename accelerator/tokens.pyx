# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The parts of accelerator.tokens for numbers, unusual texts and unknown fields."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    # Digits of a number, and levels of nesting; with more, models.event must judge.
    MAX_NUMBER_DIGITS = 300
    MAX_LEVELS = 64

cdef int _code
for _code in range(256):
    PLAIN[_code] = 0x20 <= _code < 0x7f and _code != ord('"') and _code != ord("\\")


cdef inline int _hex(unsigned char code) noexcept nogil:
    if is_digit(code):
        return code - c"0"
    code |= 0x20
    return code - c"a" + 10 if c"a" <= code <= c"f" else -1


cdef inline const unsigned char *_four_digits(const unsigned char *at, uint32_t *code) noexcept nogil:
    cdef int i, digit
    code[0] = 0
    for i in range(4):
        digit = _hex(at[i])
        if digit < 0:
            return NULL
        code[0] = code[0] << 4 | digit
    return at + 4


cdef const unsigned char *_escape(const unsigned char *at, uint32_t *code) noexcept nogil:
    """Return the end of the escape at `at`; NULL for a lone surrogate."""
    cdef uint32_t low
    cdef unsigned char kind = at[1]
    if kind == c"u":
        at = _four_digits(at + 2, code)
        if at == NULL or 0xDC00 <= code[0] < 0xE000:
            return NULL
        if code[0] < 0xD800 or code[0] >= 0xE000:
            return at
        if at[0] != c"\\" or at[1] != c"u":
            return NULL
        at = _four_digits(at + 2, &low)
        if at == NULL or low < 0xDC00 or low >= 0xE000:
            return NULL
        code[0] = 0x10000 + ((code[0] - 0xD800) << 10) + (low - 0xDC00)
        return at
    if kind == c'"' or kind == c"\\" or kind == c"/":
        code[0] = kind
    elif kind == c"b":
        code[0] = 8
    elif kind == c"f":
        code[0] = 12
    elif kind == c"n":
        code[0] = 10
    elif kind == c"r":
        code[0] = 13
    elif kind == c"t":
        code[0] = 9
    else:
        return NULL
    return at + 2


cdef inline bint _continues(unsigned char code) noexcept nogil:
    return code & 0xC0 == 0x80


cdef int _utf8_size(const unsigned char *at) noexcept nogil:
    """Return the size of a character that is not ASCII, in bytes; 0: it is invalid."""
    cdef unsigned char first = at[0], second
    if first < 0xC2 or first > 0xF4 or not _continues(at[1]):
        return 0
    if first < 0xE0:
        return 2
    second = at[1]
    if not _continues(at[2]):
        return 0
    if first < 0xF0:
        # Neither longer than needed nor a surrogate.
        return 0 if first == 0xE0 and second < 0xA0 or first == 0xED and second > 0x9F else 3
    if not _continues(at[3]):
        return 0
    return 0 if first == 0xF0 and second < 0x90 or first == 0xF4 and second > 0x8F else 4


cdef int _write_utf8(uint32_t code, unsigned char *out) noexcept nogil:
    """Write a character, and return its size in bytes."""
    if code < 0x80:
        out[0] = code
        return 1
    if code < 0x800:
        out[0] = 0xC0 | code >> 6
        out[1] = 0x80 | code & 0x3F
        return 2
    if code < 0x10000:
        out[0] = 0xE0 | code >> 12
        out[1] = 0x80 | code >> 6 & 0x3F
        out[2] = 0x80 | code & 0x3F
        return 3
    out[0] = 0xF0 | code >> 18
    out[1] = 0x80 | code >> 12 & 0x3F
    out[2] = 0x80 | code >> 6 & 0x3F
    out[3] = 0x80 | code & 0x3F
    return 4


cdef const unsigned char *odd_text_at(const unsigned char *start, const unsigned char *at, Text *text,
                                      unsigned char *room) noexcept nogil:
    """Return the end of a text that is plain ASCII only up to `at`."""
    cdef const unsigned char *copied = start
    cdef Py_ssize_t kept = 0, length = at - start, run
    cdef unsigned char[4] character
    cdef uint32_t code
    cdef int size
    while True:
        if PLAIN[at[0]]:
            at += 1
            length += 1
            continue
        if at[0] == c"\\" or at[0] == c'"':
            # Characters beyond the room are counted, but not kept.
            run = min(at - copied, ROOM - kept)
            if at[0] == c'"':
                if copied == start:
                    text.start, text.size, text.length = start, at - start, length
                    return at + 1
                memcpy(room + kept, copied, run)
                text.start, text.size, text.length = room, kept + run, length
                return at + 1
            memcpy(room + kept, copied, run)
            kept += run
            at = _escape(at, &code)
            if at == NULL:
                return NULL
            size = _write_utf8(code, character)
            if kept + size <= ROOM:
                memcpy(room + kept, character, size)
                kept += size
            length += 1
            copied = at
            continue
        size = _utf8_size(at) if at[0] >= 0x80 else 0
        if size == 0:
            return NULL
        at += size
        length += 1


cdef const unsigned char *number_at(const unsigned char *at, Number *number) noexcept nogil:
    """Return the end of a number."""
    number.is_negative = at[0] == c"-"
    number.is_whole, number.has_exponent = True, False
    number.fraction, number.fraction_count = NULL, 0
    if number.is_negative:
        at += 1
    number.digits = at
    while is_digit(at[0]):
        at += 1
    number.count = at - number.digits
    if number.count == 0 or number.digits[0] == c"0" and number.count > 1:
        return NULL
    if at[0] == c".":
        at += 1
        number.is_whole, number.fraction = False, at
        while is_digit(at[0]):
            at += 1
        number.fraction_count = at - number.fraction
        if number.fraction_count == 0:
            return NULL
    if at[0] == c"e" or at[0] == c"E":
        number.is_whole, number.has_exponent = False, True
        at += 2 if at[1] == c"-" or at[1] == c"+" else 1
        if not is_digit(at[0]):
            return NULL
        while is_digit(at[0]):
            at += 1
    return at if at - number.digits <= MAX_NUMBER_DIGITS else NULL


cdef inline const unsigned char *_word_at(const unsigned char *at) noexcept nogil:
    """Return the end of true, false or null."""
    if at[0] == c"t":
        return at + 4 if (at[1] == c"r" and at[2] == c"u" and at[3] == c"e") else NULL
    if at[0] == c"f":
        return at + 5 if (
            at[1] == c"a" and at[2] == c"l" and at[3] == c"s" and at[4] == c"e"
        ) else NULL
    return null_at(at)


cdef inline const unsigned char *_name_at(const unsigned char *at, unsigned char *room) noexcept nogil:
    """Return the start of the value after an object's name and colon."""
    cdef Text ignored
    at = text_at(at, &ignored, room)
    if at == NULL:
        return NULL
    at = skip_blanks(at)
    return skip_blanks(at + 1) if at[0] == c":" else NULL


cdef const unsigned char *value_at(const unsigned char *at) noexcept nogil:
    """Return the end of any value."""
    cdef unsigned char[ROOM] room
    # One bit per open level: whether it is an object.
    cdef uint64_t objects = 0
    cdef int levels = 0
    cdef unsigned char code
    cdef Text ignored_text
    cdef Number ignored
    while True:
        code = at[0]
        if code == c"{" or code == c"[":
            if levels == MAX_LEVELS:
                return NULL
            at = skip_blanks(at + 1)
            levels += 1
            objects = objects << 1 | (code == c"{")
            if at[0] != (c"}" if code == c"{" else c"]"):
                if code == c"{":
                    at = _name_at(at, room)
                    if at == NULL:
                        return NULL
                continue
        elif code == c'"':
            at = text_at(at, &ignored_text, room)
        elif code == c"-" or is_digit(code):
            at = number_at(at, &ignored)
        else:
            at = _word_at(at)
        # After a value, or at the end of a level.
        while True:
            if at == NULL or levels == 0:
                return at
            at = skip_blanks(at)
            if at[0] == (c"}" if objects & 1 else c"]"):
                at += 1
                levels -= 1
                objects >>= 1
                continue
            break
        if at[0] != c",":
            return NULL
        at = skip_blanks(at + 1)
        if objects & 1:
            at = _name_at(at, room)
            if at == NULL:
                return NULL
