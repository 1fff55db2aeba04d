"""A map that spills from memory to a database."""

from __future__ import annotations

import struct
from heapq import merge
from typing import TYPE_CHECKING, Final

from rocksdict import AccessType, Options, Rdict, WriteBatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Memory of a key, a value and their dict entry, without the value's content.
ENTRY_SIZE: Final = 220

_ID: Final = struct.Struct(">Q")
_VIDEO_AND_PANE: Final = struct.Struct(">Qq")


def id_key(number: int) -> bytes:
    """Return the key of a number; keys sort like their numbers."""
    return _ID.pack(number)


def pane_key(video_id: int, pane: int) -> bytes:
    """Return the key of a pane; panes of one number are adjacent."""
    return _VIDEO_AND_PANE.pack(video_id, pane)


def id_of(key: bytes) -> int:
    """Return the number that a key begins with."""
    number: int = _ID.unpack_from(key)[0]
    return number


def pane_of(key: bytes) -> int:
    """Return the pane of :func:`pane_key`."""
    pane: int = _VIDEO_AND_PANE.unpack(key)[1]
    return pane


class SpillMap:
    """A map of bytes to bytes in bounded memory."""

    def __init__(self, path: Path, limit: int) -> None:
        """Begin empty; beyond about ``limit`` bytes, entries go to a database in ``path``."""
        self._path = path
        self._limit = limit
        self._size = 0
        self._memory: dict[bytes, bytes | None] = {}
        self._disk: Rdict | None = None

    @classmethod
    def kept(cls, path: Path) -> SpillMap:
        """Return the map that another process has kept in ``path``, to read it."""
        values = cls(path, 0)
        values._disk = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
        return values

    @property
    def is_on_disk(self) -> bool:
        """Whether entries went to disk."""
        return self._disk is not None

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``."""
        if key in self._memory:
            return self._memory[key]
        return None if self._disk is None else self._disk.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set the value of ``key``; None deletes it."""
        self._memory[key] = value
        # A replaced value counts again, so the limit may be reached early, never late.
        self._size += ENTRY_SIZE + len(value or b"")
        if self._size > self._limit:
            self._spill()

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the keys in order; the map must not change meanwhile."""
        memory = sorted(self._memory)
        if self._disk is None:
            ordered: Iterator[bytes] = iter(memory)
        else:
            ordered = unique(merge(memory, (bytes(key) for key in self._disk.keys())))  # type: ignore[arg-type]  # noqa: SIM118
        return (key for key in ordered if self._memory.get(key, b"") is not None)

    def keep(self) -> Path:
        """Write everything to disk, close the map, and return its folder; see :meth:`kept`."""
        self._spill()
        assert self._disk is not None  # noqa: S101 - for the types
        self._disk.flush()
        self._disk.close()
        self._disk = None
        return self._path

    def close(self) -> None:
        """Remove everything."""
        self._memory, self._size = {}, 0
        if self._disk is not None:
            self._disk.close()
            self._disk = None
            Rdict.destroy(str(self._path))

    def _spill(self) -> None:
        if self._disk is None:
            self._disk = Rdict(str(self._path), options=Options(raw_mode=True))
        batch = WriteBatch(raw_mode=True)
        for key, value in self._memory.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        self._disk.write(batch)
        self._memory, self._size = {}, 0


def unique(ordered: Iterator[bytes]) -> Iterator[bytes]:
    """Drop keys equal to their predecessor."""
    last = None
    for key in ordered:
        if key != last:
            yield key
        last = key
