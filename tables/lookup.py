"""Finding keys in layers of dicts, the newest first: the plain form of accelerator.lookup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Changes = dict[bytes, "bytes | None"]


class Find(Protocol):
    """Looks keys up in memory."""

    def __call__(
        self, layers: Sequence[Changes], keys: Collection[bytes]
    ) -> tuple[Changes, list[bytes]]:
        """Return what the first layer that has it says of each key, and the keys that none has."""


def find(layers: Sequence[Changes], keys: Collection[bytes]) -> tuple[Changes, list[bytes]]:
    """See :class:`Find`. No loop of ours over the keys, as it is done for every event."""
    values: Changes = {}
    missing = set(keys)
    for layer in layers:
        found = layer.keys() & missing
        if found:
            values.update(zip(found, map(layer.__getitem__, found), strict=True))
            missing -= found
    return values, list(missing)
