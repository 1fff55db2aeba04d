"""Amounts are parsed as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.amounts import MOST, parse_amount, shown, shown_bytes, shown_large


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500000", 500_000),
        ("500,000", 500_000),
        ("500_000", 500_000),
        ("500k", 500_000),
        ("1.5M", 1_500_000),
        ("100m", 100_000_000),
        ("1B", 1_000_000_000),
        ("1G", 1_000_000_000),
        ("0.5k", 500),
        ("1000B", MOST),
    ],
)
def test_units_and_separators_are_read(text: str, amount: int) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k",
        "0",
        "0M",
        "-1",
        "1.5",
        "0.0001k",
        "1e6",
        "1 M",
        "1MM",
        "1T",
        "nan",
        "1001B",
        "1,5",
        "٣",
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number from 1 to 1,000B, such as"):
        parse_amount(text)


@given(st.integers(1, MOST))
def test_every_whole_number_is_read_with_or_without_separators(number: int) -> None:
    assert parse_amount(str(number)) == parse_amount(f"{number:,}") == number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (shown(7812.5), "7,812"),
        (shown(11.44), "11.4"),
        (shown(0.123), "0.12"),
        (shown_large(1e9), "1 billion"),
        (shown_large(3_125_000), "3.1 million"),
        (shown_large(781_250.0), "781,250"),
        (shown_bytes(1.25e9), "1.25 GB"),
        (shown_bytes(6.63e12), "6.63 TB"),
        (shown_bytes(84.4e6), "84 MB"),
    ],
)
def test_numbers_are_shown_with_about_three_digits(text: str, expected: str) -> None:
    assert text == expected
