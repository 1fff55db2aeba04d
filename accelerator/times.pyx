# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""models.timestamps.parse_rfc3339, compiled, for all but leap seconds and times out of bounds."""

from accelerator.tokens cimport is_digit

cdef enum:
    # Other years, and impossible days, hours or zones, are UNSURE.
    FIRST_YEAR = 1970
    LAST_YEAR = 9998
    # Lengths of 2025-01-15T14:30:45, and of the longest text that is judged here.
    SECONDS_END = 19
    LONGEST = 60
    MINUTE_MS = 60_000


cdef inline int _two(const unsigned char *at) noexcept nogil:
    if not (is_digit(at[0]) and is_digit(at[1])):
        return -1
    return (at[0] - c"0") * 10 + (at[1] - c"0")


cdef inline int _days_of(int year, int month) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef inline long long _days_since_1970(int year, int month, int day) noexcept nogil:
    """Count years from March, in eras of 400 years, which all have 146,097 days."""
    cdef long long y = year - (month <= 2)
    cdef long long era = y // 400
    cdef long long of_era = y - era * 400
    cdef long long of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


cdef Judgement _zone(const unsigned char *at, Py_ssize_t size, int *minutes) noexcept nogil:
    """Parse Z, +02:00 or +0200."""
    cdef int hour, minute
    minutes[0] = 0
    if size == 1:
        return RIGHT if at[0] == c"Z" or at[0] == c"z" else WRONG
    if size != 5 and size != 6 or at[0] != c"+" and at[0] != c"-" or size == 6 and at[3] != c":":
        return WRONG
    hour, minute = _two(at + 1), _two(at + size - 2)
    if hour < 0 or minute < 0:
        return WRONG
    minutes[0] = (hour * 60 + minute) * (-1 if at[0] == c"-" else 1)
    return RIGHT if hour <= 23 and minute <= 59 else UNSURE


cdef Judgement time_of(const unsigned char *at, Py_ssize_t size, long long *t_ms) noexcept nogil:
    """Parse 2025-01-15T14:30:45.123+02:00, floored to a millisecond."""
    cdef int century, year, month, day, hour, minute, second, zone
    cdef int ms = 0, weight = 100
    cdef Py_ssize_t end = SECONDS_END
    cdef Judgement judgement
    if size <= SECONDS_END:
        return WRONG
    if size > LONGEST:
        return UNSURE
    century, year, month, day = _two(at), _two(at + 2), _two(at + 5), _two(at + 8)
    hour, minute, second = _two(at + 11), _two(at + 14), _two(at + 17)
    if (at[4] != c"-" or at[7] != c"-" or at[13] != c":" or at[16] != c":"
            or at[10] != c"T" and at[10] != c"t" and at[10] != c" "
            or century < 0 or year < 0 or month < 0 or day < 0
            or hour < 0 or minute < 0 or second < 0):
        return WRONG
    if at[end] == c".":
        end += 1
        while end < size and is_digit(at[end]):
            ms += weight * (at[end] - c"0")
            weight //= 10
            end += 1
        if end == SECONDS_END + 1:
            return WRONG
    judgement = _zone(at + end, size - end, &zone)
    if judgement != RIGHT:
        return judgement
    year += century * 100
    if (year < FIRST_YEAR or year > LAST_YEAR or month < 1 or month > 12 or day < 1
            or day > _days_of(year, month) or hour > 23 or minute > 59 or second > 59):
        return UNSURE
    t_ms[0] = (
        ((_days_since_1970(year, month, day) * 24 + hour) * 60 + minute - zone) * MINUTE_MS
        + second * 1000 + ms
    )
    return RIGHT
