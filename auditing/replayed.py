"""Replayed dead letters of a reason, stored as a group's offsets with metadata.

Dead letters before the committed offset were replayed, and those beyond it that the metadata
lists: single ones selected by id, and all from some time on. Brokers accept 4 KiB of metadata by
default (`offset.metadata.max.bytes`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from auditing.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Bytes of metadata that brokers accept.
MAX_METADATA: Final = 4096

_PREFIX: Final = "replayed "
_STRETCH: Final = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")


class Done(NamedTuple):
    """Offsets of the replayed dead letters of one partition."""

    position: int = 0
    """Every offset before this."""
    beyond: tuple[tuple[int, int], ...] = ()
    """Further ranges [first, end), sorted, not adjacent."""

    def __contains__(self, offset: object) -> bool:
        """Whether the dead letter at ``offset`` was replayed."""
        return isinstance(offset, int) and (
            offset < self.position or any(first <= offset < end for first, end in self.beyond)
        )

    @property
    def end(self) -> int:
        """The first offset after all replayed ones."""
        return max(self.position, *(end for _, end in self.beyond), 0)

    def up_to(self, position: int) -> Done:
        """Return this with every offset before ``position``."""
        return _normal(max(self.position, position), self.beyond)

    def with_stretches(self, stretches: Iterable[tuple[int, int]]) -> Done:
        """Return this with more ranges [first, end)."""
        return _normal(self.position, (*self.beyond, *stretches))

    @property
    def _text(self) -> str:
        text = ",".join(f"{first}-{end}" for first, end in self.beyond)
        return f"{_PREFIX}{text}" if text else ""

    @property
    def fits(self) -> bool:
        """Whether there are few enough ranges for :attr:`metadata`."""
        return len(self._text) <= MAX_METADATA

    @property
    def metadata(self) -> str:
        """The ranges as text. Raises AuditError if there are too many."""
        if not self.fits:
            raise AuditError(
                "too many dead letters with this reason were replayed one by one: replay all "
                "of them once, without --id, --since and --from"
            )
        return self._text

    @classmethod
    def read(cls, position: int, metadata: str) -> Done:
        """Parse a committed offset and its metadata."""
        if not metadata.startswith(_PREFIX):
            return cls(position)
        found = _STRETCH.findall(metadata.removeprefix(_PREFIX))
        return _normal(position, [(int(first), int(end)) for first, end in found])


def _normal(position: int, stretches: Iterable[tuple[int, int]]) -> Done:
    """Join adjacent ranges, and extend the position by ranges that begin before it."""
    joined: list[tuple[int, int]] = []
    for first, end in sorted(each for each in stretches if each[0] < each[1]):
        if first <= position:
            position = max(position, end)
        elif joined and first <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((first, end))
    return Done(position, tuple(joined))
