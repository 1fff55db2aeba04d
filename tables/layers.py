"""A partition's changes in memory, in layers: the plain form of accelerator.layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Value = bytes | None
"""None: the key is deleted."""

Changes = dict[bytes, Value]


class Layer(Protocol):
    """Values by key, in the order in which their keys came."""

    def __len__(self) -> int:
        """Count the keys."""

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the keys."""

    def __contains__(self, key: object, /) -> bool:
        """Whether there is anything of a key."""

    def __getitem__(self, key: bytes, /) -> Value:
        """Return what there is of a key."""

    def get(self, key: bytes, otherwise: Value, /) -> Value:
        """Return what there is of a key, or (nothing) what to return otherwise."""

    def __setitem__(self, key: bytes, value: Value, /) -> None:
        """Change it."""

    def keys(self) -> Iterable[bytes]:
        """Return all keys."""

    def items(self) -> Iterable[tuple[bytes, Value]]:
        """Return all keys and values."""

    def update(self, newer: Any, /) -> None:
        """Take over what another layer of this kind has."""


class Values(Protocol):
    """The values of some keys in their order; see :class:`Found`."""

    def __len__(self) -> int:
        """Count the keys, each as often as it was asked for."""

    def __getitem__(self, number: int, /) -> Value:
        """Return a value."""

    def __iter__(self) -> Iterator[Value]:
        """Iterate over the values."""

    @property
    def missing(self) -> list[bytes]:
        """The keys that no layer had, each once."""

    def fill(self, values: list[Value], /) -> None:
        """Say what the missing keys' values are, in their order."""

    def renew(self, layers: Sequence[Any], /) -> None:
        """Take what the layers say now of keys that any of them has."""


#: In place of a value: nothing is known of the key.
_ABSENT: Final[Any] = object()


class Found(list[Value]):
    """What the first of some layers that has it says of each key, in the order of the keys."""

    def __init__(self, layers: Sequence[Changes], keys: Sequence[bytes]) -> None:
        """Look for ``keys``. No loop of ours over them, as it is done for every event."""
        missing = set(keys)
        values: Changes = dict.fromkeys(missing, _ABSENT)
        for layer in layers:
            found = layer.keys() & missing
            if found:
                values.update(zip(found, map(layer.__getitem__, found), strict=True))
                missing -= found
        super().__init__(map(values.__getitem__, keys))
        self._keys = keys
        self.missing = list(missing)

    def fill(self, values: list[Value]) -> None:
        """See :class:`Values`."""
        self._replace(dict(zip(self.missing, values, strict=True)))

    def renew(self, layers: Sequence[Changes]) -> None:
        """See :class:`Values`."""
        now = Found(layers, self._keys)
        self._replace(
            {key: value for key, value in zip(self._keys, now, strict=True) if value is not _ABSENT}
        )

    def _replace(self, values: Changes) -> None:
        self[:] = [values.get(key, old) for key, old in zip(self._keys, self, strict=True)]


class Batch(Protocol):
    """Takes what RocksDB is to write at once."""

    def put(self, key: bytes, value: bytes, /) -> None:
        """Write a value."""

    def delete(self, key: bytes, /) -> None:
        """Delete a key."""


class Ordered(Protocol):
    """Keys and values in the order of the keys; see :class:`InOrder`."""

    def put_into(self, batch: Batch, most: int, /) -> bool:
        """Put the next ones, ``most`` or all, into ``batch``; return whether some are left."""


class InOrder:
    """Keys and values in the order of the keys."""

    def __init__(self, changes: Any) -> None:
        """Begin with the first; none may be added meanwhile."""
        self._changes = changes
        self._keys = sorted(changes)
        self._next = 0

    def put_into(self, batch: Batch, most: int) -> bool:
        """See :class:`Ordered`."""
        first, self._next = self._next, self._next + most
        for key in self._keys[first : self._next]:
            value = self._changes[key]
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        return self._next < len(self._keys)


class PackRecords(Protocol):
    """Packs a layer's values into batches of records; see ``accelerator.packing``."""

    def __call__(self, values: Layer, limit: int, /) -> Iterator[tuple[bytearray, int]]:
        """Yield batches, with room for their headers, and how many records each has."""


class Memory(NamedTuple):
    """What a partition's changes are kept in: dicts, or what ``accelerator.memory`` returns."""

    layer: Callable[[], Layer] = dict
    find: Callable[[Sequence[Any], Sequence[bytes]], Values] = Found
    in_order: Callable[[Any], Ordered] = InOrder
    row_size: int = 180
    """Bytes of memory that a row takes besides key and value: a dict's entry, two objects."""
    companions: Callable[[Any], int] = lambda _: 0
    """Returns the bytes that a layer has besides, of rows at hand that are not written with it."""


DICTS: Final = Memory()
