"""Amounts as people write them, 500k, 100M and 1B, and as they read them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
_AMOUNT: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([kmgb]?)", re.IGNORECASE)
#: The largest amount: a trillion.
MOST: Final = 10**12

_THREE_DIGITS = 100
_TWO_DIGITS = 10


def parse_amount(text: str) -> int:
    """Return the whole number that ``500000``, ``500,000``, ``500k``, ``1.5M`` or ``1B`` names.

    Raises ValueError for any other text, for zero, and for more than a trillion.
    """
    match = _AMOUNT.fullmatch(re.sub(r"(?<=[0-9])[,_](?=[0-9]{3})", "", text))
    amount = Decimal(match[1]) * _UNITS[match[2].lower()] if match else Decimal(0)
    if not 0 < amount <= MOST or amount != int(amount):
        raise ValueError(
            f"{text!r:.40} is not a whole number from 1 to {MOST // 10**9:,}B, "
            "such as 500000, 500k, 1.5M or 1B"
        )
    return int(amount)


def shown(number: float) -> str:
    """Format with about three digits: ``7,813``, ``117``, ``11.4``, ``0.62``."""
    if abs(number) >= _THREE_DIGITS:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= _TWO_DIGITS else f"{number:.2f}"


def shown_large(number: float) -> str:
    """Format a count for a sentence: ``1 billion``, ``100 million``, ``500,000``."""
    for size, name in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.1f}".removesuffix(".0") + f" {name}"
    return f"{number:,.0f}"


def shown_bytes(number: float) -> str:
    """Format a number of bytes: ``1.4 TB``, ``12 GB``, ``165 MB``."""
    for size, name in ((1e12, "TB"), (1e9, "GB")):
        if number >= size:
            return f"{number / size:.3g} {name}"
    return f"{number / 1e6:,.0f} MB"
