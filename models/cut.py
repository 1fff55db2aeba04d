"""Records of which only the beginning was kept: whole they would take too much memory."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Self

CUT_BYTES: Final = 65_536
"""Bytes that are kept of such a key, of such a value, or of all headers."""


class Cut(NamedTuple):
    """What was cut of a record; 0: nothing of that part."""

    value: int = 0
    """Bytes of the whole value."""
    key: int = 0
    """Bytes of the whole key."""
    headers: int = 0
    """Headers that were left out."""


class CutBytes(bytes):
    """The first bytes of a key or of a value.

    Such a value is too large for all that decode it, however it begins.
    """

    full_size: int
    """Bytes of the whole."""

    @classmethod
    def of(cls, kept: bytes, full_size: int) -> Self:
        """Make them of what was kept."""
        part = cls(kept)
        part.full_size = full_size
        return part


class CutHeaders(list[tuple[str, bytes | None]]):
    """The first headers of a record."""

    omitted: int
    """How many are left out."""

    @classmethod
    def of(cls, kept: Iterable[tuple[str, bytes | None]], omitted: int) -> Self:
        """Make them of what was kept."""
        headers = cls(kept)
        headers.omitted = omitted
        return headers


def full_size(value: bytes) -> int:
    """How many bytes a value has, or had before it was cut."""
    return value.full_size if isinstance(value, CutBytes) else len(value)


def omitted(headers: Sequence[tuple[str, bytes | None]]) -> int:
    """How many headers were left out."""
    return headers.omitted if isinstance(headers, CutHeaders) else 0
