"""Which dead letters of a reason were replayed, as the offsets of a group with their metadata say.

All before the committed offset were, and beyond it those that the metadata lists: single ones that
were asked for by their ids, and all from some time on. The brokers take 4 KiB of metadata by
default (`offset.metadata.max.bytes`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from auditing.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Bytes of metadata that brokers take.
MAX_METADATA: Final = 4096

_PREFIX: Final = "replayed "
_STRETCH: Final = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")


class Done(NamedTuple):
    """The offsets of one partition whose dead letters were replayed."""

    position: int = 0
    """All before it."""
    beyond: tuple[tuple[int, int], ...] = ()
    """And stretches [first, end) behind it, in order, which do not touch one another."""

    def __contains__(self, offset: object) -> bool:
        """Whether the dead letter at ``offset`` was replayed."""
        return isinstance(offset, int) and (
            offset < self.position or any(first <= offset < end for first, end in self.beyond)
        )

    @property
    def end(self) -> int:
        """The first offset behind all that was replayed."""
        return max(self.position, *(end for _, end in self.beyond), 0)

    def up_to(self, position: int) -> Done:
        """Return this with all before ``position``."""
        return _normal(max(self.position, position), self.beyond)

    def with_stretches(self, stretches: Iterable[tuple[int, int]]) -> Done:
        """Return this with more stretches [first, end)."""
        return _normal(self.position, (*self.beyond, *stretches))

    @property
    def metadata(self) -> str:
        """The stretches as text. Raises AuditError when they are too many."""
        text = ",".join(f"{first}-{end}" for first, end in self.beyond)
        if len(text) + len(_PREFIX) > MAX_METADATA:
            raise AuditError(
                "too many single dead letters of this reason were replayed: replay all of it "
                "once, without --id, --since and --from"
            )
        return f"{_PREFIX}{text}" if text else ""

    @classmethod
    def read(cls, position: int, metadata: str) -> Done:
        """Return what an offset and its metadata say."""
        if not metadata.startswith(_PREFIX):
            return cls(position)
        found = _STRETCH.findall(metadata.removeprefix(_PREFIX))
        return _normal(position, [(int(first), int(end)) for first, end in found])


def _normal(position: int, stretches: Iterable[tuple[int, int]]) -> Done:
    """Join what touches, and let the position take what begins before it."""
    joined: list[tuple[int, int]] = []
    for first, end in sorted(stretches):
        if first <= position:
            position = max(position, end)
        elif joined and first <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((first, end))
    return Done(position, tuple(joined))
