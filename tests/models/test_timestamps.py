"""Promises about parsing and formatting times."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.timestamps import from_iso, timestamp_ms, to_iso

YEAR_1, YEAR_9999 = -62_135_596_800_000, 253_402_300_799_999


def test_times_are_written_with_milliseconds_only_where_there_are_any() -> None:
    assert to_iso(1_736_951_445_123) == "2025-01-15T14:30:45.123Z"
    assert to_iso(1_736_951_445_007) == "2025-01-15T14:30:45.007Z"
    assert to_iso(1_736_952_300_000) == "2025-01-15T14:45:00Z"
    assert to_iso(-1) == "1969-12-31T23:59:59.999Z"


@given(st.integers(YEAR_1, YEAR_9999))
def test_written_times_are_read_as_the_same(t_ms: int) -> None:
    assert from_iso(to_iso(t_ms)) == t_ms


@given(st.integers(-(10**17), 10**17))
def test_writing_a_time_never_fails_not_even_beyond_the_calendar(t_ms: int) -> None:
    assert to_iso(t_ms).endswith("Z")


def test_the_window_after_the_last_year_ends_in_the_year_10000() -> None:
    assert to_iso(YEAR_9999 + 1) == "10000-01-01T00:00:00Z"
    assert to_iso(YEAR_1 - 1) == "0000-12-31T23:59:59.999Z"


@given(st.datetimes(timezones=st.timezones()))
def test_milliseconds_of_a_moment_are_floored_exactly(moment: datetime) -> None:
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds
    assert timestamp_ms(moment) == microseconds // 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-15T14:30:45.123Z", 1_736_951_445_123),
        ("2025-01-15t14:30:45.123z", 1_736_951_445_123),
        ("2025-01-15 14:30:45.123+00:00", 1_736_951_445_123),
        ("2025-01-15T15:30:45.123+01:00", 1_736_951_445_123),
        ("2025-01-15T14:30:45.1239999999Z", 1_736_951_445_123),
        ("2025-01-15T14:30:45.1Z", 1_736_951_445_100),
        ("1969-12-31T23:59:59.9995Z", -1),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
    ],
)
def test_times_with_a_zone_are_read(text: str, expected: int) -> None:
    assert from_iso(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2025-01-15", "2025-01-15T14:30:45", "2025-01-15T14:30Z", "1736951445"),
        *("2025-02-29T00:00:00Z", "2025-01-15T24:00:00Z", "2025-01-15T14:30:60Z"),
        *("2025-01-15T14:30:45Z ", "2025-01-15T14:30:45.Z", "2025-01-15T14:30:45+24:00"),
        *("2025-01-15T14:30:45Z\n", "٢٠٢٥-01-15T14:30:45Z", "9999-12-31T23:59:60Z"),
    ],
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|second"):
        from_iso(text)


@given(st.text(max_size=40))
def test_no_text_does_more_harm_than_a_value_error(text: str) -> None:
    with suppress(ValueError):
        from_iso(text)
