"""Finding keys in layers of dicts, the newest first: the plain form of accelerator.lookup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

Changes = dict[bytes, "bytes | None"]

#: In place of a value: no layer says anything of the key. (None: the key is deleted.)
ABSENT: Final[Any] = object()


class Find(Protocol):
    """Looks keys up in memory."""

    def __call__(
        self, layers: Sequence[Changes], keys: Sequence[bytes]
    ) -> tuple[list[bytes | None], list[bytes]]:
        """Return what the first layer that has it says of each key, and the keys that none has.

        The former in the order of the keys, with :data:`ABSENT` for the latter; of those each once.
        """


def find(
    layers: Sequence[Changes], keys: Sequence[bytes]
) -> tuple[list[bytes | None], list[bytes]]:
    """See :class:`Find`. No loop of ours over the keys, as it is done for every event."""
    missing = set(keys)
    values: Changes = dict.fromkeys(missing, ABSENT)
    for layer in layers:
        found = layer.keys() & missing
        if found:
            values.update(zip(found, map(layer.__getitem__, found), strict=True))
            missing -= found
    return list(map(values.__getitem__, keys)), list(missing)
