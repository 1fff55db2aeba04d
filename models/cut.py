"""Truncated records: oversized keys, values and headers, cut to save memory."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Self

#: Bytes kept of an oversized key, of an oversized value, or of all headers.
CUT_BYTES: Final = 65_536


class Cut(NamedTuple):
    """Original sizes of the truncated parts of a record; 0: not truncated."""

    value: int = 0
    """Bytes of the original value."""
    key: int = 0
    """Bytes of the original key."""
    headers: int = 0
    """Number of omitted headers."""


class CutBytes(bytes):
    """The first bytes of a key or of a value.

    All decoders refuse such a value as too large, whatever its first bytes are.
    """

    full_size: int
    """Bytes of the original."""

    @classmethod
    def of(cls, kept: bytes, full_size: int) -> Self:
        """Create from the bytes that were kept."""
        part = cls(kept)
        part.full_size = full_size
        return part


class CutHeaders(list[tuple[str, bytes | None]]):
    """The first headers of a record."""

    omitted: int
    """Number of omitted headers."""

    @classmethod
    def of(cls, kept: Iterable[tuple[str, bytes | None]], omitted: int) -> Self:
        """Create from the headers that were kept."""
        headers = cls(kept)
        headers.omitted = omitted
        return headers


def full_size(value: bytes) -> int:
    """Return the size of a value in bytes, before truncation."""
    return value.full_size if isinstance(value, CutBytes) else len(value)


def omitted(headers: Sequence[tuple[str, bytes | None]]) -> int:
    """Return the number of omitted headers."""
    return headers.omitted if isinstance(headers, CutHeaders) else 0
