"""Event time: RFC 3339 text, aware datetimes and whole milliseconds since 1970-01-01T00:00:00Z.

Fractions of a millisecond are floored, never rounded: an event of 23:59:59.9999 belongs to the
window that ends at midnight, not to the next one. accelerator.times is the compiled form.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final

import msgspec

AwareDatetime = Annotated[datetime, msgspec.Meta(tz=True)]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - its isoformat has no zone
_SECOND: Final = timedelta(seconds=1)
_DAY_S: Final = 86_400
# The Gregorian calendar repeats after 400 years.
_CYCLE_YEARS: Final = 400
_CYCLE_S: Final = 146_097 * _DAY_S
_YEAR_1_S: Final = -62_135_596_800
_YEAR_10000_S: Final = 253_402_300_800
_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:)(\d\d)(\.\d+)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII
)


def timestamp_ms(moment: datetime) -> int:
    """Milliseconds since the epoch, floored; exact for the years 1 to 9999, negative before 1970.

    Integers only: as a float, 1736951445.123 s * 1000 is less than ...123 ms.
    """
    since = moment - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def parse_rfc3339(text: str) -> datetime:
    """Parse an RFC 3339 text with a zone; ValueError for anything else.

    A leap second, 23:59:60 in UTC, becomes the second after it.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 time with a zone: {text!r:.80}")
    minute, second, fraction, zone = match.groups(default="")
    is_leap = second == "60"
    # msgspec rounds below a microsecond: do not let that carry into the next millisecond.
    if fraction[4:7] == "999":
        fraction = fraction[:7]
    plain = f"{minute}{'59' if is_leap else second}{fraction}{zone}"
    try:
        moment: datetime = msgspec.convert(plain, AwareDatetime)
        if is_leap:
            moment += _SECOND
    except (msgspec.ValidationError, OverflowError) as error:
        raise ValueError(f"no such time: {text!r:.80}") from error
    if is_leap and timestamp_ms(moment) // 1000 % _DAY_S != 0:
        raise ValueError(f"no leap second: {text!r:.80}")
    return moment


def from_iso(text: str) -> int:
    """Return milliseconds since the epoch of an RFC 3339 text with a zone; ValueError otherwise."""
    return timestamp_ms(parse_rfc3339(text))


# The bounds of windows and the time of the latest event recur often.
@lru_cache(maxsize=1024)
def to_iso(t_ms: int) -> str:
    """Format RFC 3339 in UTC: ``2025-01-15T14:30:45.123Z``, without a fraction if the ms are 0.

    Never raises: the end of a window at the end of the year 9999 is in the year 10000.
    """
    seconds, ms = divmod(t_ms, 1000)
    if _YEAR_1_S <= seconds < _YEAR_10000_S:
        text = (_NAIVE_EPOCH + timedelta(seconds=seconds)).isoformat()
    else:
        cycles, in_cycle = divmod(seconds - _YEAR_1_S, _CYCLE_S)
        moment = _NAIVE_EPOCH + timedelta(seconds=in_cycle + _YEAR_1_S)
        text = f"{moment.year + cycles * _CYCLE_YEARS:04d}{moment.isoformat()[4:]}"
    return f"{text}.{ms:03d}Z" if ms else f"{text}Z"
