"""The layers of a partition's changes in memory; compiled: accelerator.layer, accelerator.lookup.

models._protocols defines the interface of both forms.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from models._protocols import Layer, PackRecords, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models import _protocols
    from models._protocols import WriteBatch

__all__ = [
    "PLAIN_LAYERS",
    "DictLayer",
    "Layer",
    "LayerBackend",
    "LookupResult",
    "PackRecords",
    "SortedEntries",
    "Value",
]

DictLayer = dict[bytes, Value]

#: Placeholder for a value: no layer has the key.
_ABSENT: Final[Any] = object()


class LookupResult(list[Value]):
    """Per key the value from the first layer that has it, in the order of the keys."""

    def __init__(self, layers: Sequence[DictLayer], keys: Sequence[bytes]) -> None:
        """Find ``keys``, without a Python loop over them, because this runs for every event."""
        missing = set(keys)
        values: DictLayer = dict.fromkeys(missing, _ABSENT)
        for layer in layers:
            found = layer.keys() & missing
            if found:
                values.update(zip(found, map(layer.__getitem__, found), strict=True))
                missing -= found
        super().__init__(map(values.__getitem__, keys))
        self._keys = keys
        self.missing = list(missing)

    def fill(self, values: list[Value]) -> None:
        """See :class:`models._protocols.LookupResult`."""
        self._replace(dict(zip(self.missing, values, strict=True)))

    def renew(self, layers: Sequence[DictLayer]) -> None:
        """See :class:`models._protocols.LookupResult`."""
        now = LookupResult(layers, self._keys)
        self._replace(
            {key: value for key, value in zip(self._keys, now, strict=True) if value is not _ABSENT}
        )

    def _replace(self, values: DictLayer) -> None:
        self[:] = [values.get(key, old) for key, old in zip(self._keys, self, strict=True)]


class SortedEntries:
    """Keys and values in key order."""

    def __init__(self, changes: Any) -> None:
        """Start at the first key; ``changes`` must not get new keys meanwhile."""
        self._changes = changes
        self._keys = sorted(changes)
        self._next = 0

    def put_into(self, batch: WriteBatch, most: int) -> bool:
        """See :class:`models._protocols.SortedEntries`."""
        first, self._next = self._next, self._next + most
        for key in self._keys[first : self._next]:
            value = self._changes[key]
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        return self._next < len(self._keys)


def _drop(layer: DictLayer, newer: DictLayer, first: int = 0) -> None:
    for key in islice(newer, first, None):
        layer.pop(key, None)


class LayerBackend(NamedTuple):
    """Containers for a partition's changes: dicts, or those of ``accelerator.layer_backend``."""

    layer: Callable[[], Layer] = dict
    find: Callable[[Sequence[Any], Sequence[bytes]], _protocols.LookupResult] = LookupResult
    in_order: Callable[[Any], _protocols.SortedEntries] = SortedEntries
    drop: Callable[..., None] = _drop
    """Drops the rows of a layer whose keys a newer layer has, from its row ``first`` on (0)."""
    row_size: int = 180
    """Bytes of memory per row besides key and value: a dict's entry and two objects."""
    linked_bytes: Callable[[Any], int] = lambda _: 0
    """Returns the bytes of rows linked to a layer's rows (indexes of ids), not flushed with it."""


PLAIN_LAYERS: Final = LayerBackend()
