"""Tokens of JSON in C.

The text ends in a NUL, as all bytes objects do. No token contains a NUL, so nothing reads past it.
Functions return the end of a token; NULL if it is damaged, or if models.event might read it
differently and must judge.
"""

from libc.stdint cimport uint64_t

cdef enum:
    # Digits that always fit in 64 bits.
    SAFE_DIGITS = 19
    # Bytes kept of a text with escapes; no valid id, type, time or known name has more.
    ROOM = 1024


cdef struct Text:
    # The content without escapes, in UTF-8, its size in bytes, and its number of characters.
    const unsigned char *start
    Py_ssize_t size
    Py_ssize_t length


cdef struct Number:
    bint is_negative
    # It has neither fraction nor exponent.
    bint is_whole
    bint has_exponent
    # The digits before and after the point, and how many there are.
    const unsigned char *digits
    Py_ssize_t count
    const unsigned char *fraction
    Py_ssize_t fraction_count


cdef unsigned char[256] PLAIN


cdef inline const unsigned char *skip_blanks(const unsigned char *at) noexcept nogil:
    while at[0] == c" " or at[0] == c"\n" or at[0] == c"\r" or at[0] == c"\t":
        at += 1
    return at


cdef inline bint is_digit(unsigned char code) noexcept nogil:
    return code >= c"0" and code <= c"9"


cdef inline const unsigned char *text_at(const unsigned char *at, Text *text,
                                         unsigned char *room) noexcept nogil:
    """Return the end of a text; `room`, of ROOM bytes, receives its content if it has escapes."""
    cdef const unsigned char *start = at + 1
    if at[0] != c'"':
        return NULL
    at = start
    while PLAIN[at[0]]:
        at += 1
    if at[0] != c'"':
        return odd_text_at(start, at, text, room)
    text.start = start
    text.size = text.length = at - start
    return at + 1


cdef inline const unsigned char *null_at(const unsigned char *at) noexcept nogil:
    return at + 4 if (at[0] == c"n" and at[1] == c"u" and at[2] == c"l" and at[3] == c"l") else NULL


cdef const unsigned char *odd_text_at(const unsigned char *start, const unsigned char *at, Text *text,
                                      unsigned char *room) noexcept nogil
cdef const unsigned char *number_at(const unsigned char *at, Number *number) noexcept nogil
cdef const unsigned char *value_at(const unsigned char *at) noexcept nogil
