"""Values of which only the beginning was kept: whole they would take too much memory."""

from typing import Final, Self

CUT_BYTES: Final = 65_536
"""Bytes that are kept of such a value."""


class CutValue(bytes):
    """The first bytes of a value. It is too large for all that decode it, however it begins."""

    full_size: int
    """Bytes of the whole value."""

    @classmethod
    def of(cls, kept: bytes, full_size: int) -> Self:
        """Make one of what was kept of a value."""
        value = cls(kept)
        value.full_size = full_size
        return value


def full_size(value: bytes) -> int:
    """How many bytes a value has, or had before it was cut."""
    return value.full_size if isinstance(value, CutValue) else len(value)
