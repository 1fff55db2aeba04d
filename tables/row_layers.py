"""A partition's rows in memory, in layers from the newest to the oldest.

::

    read          dirty  ->  frozen  ->  unflushed  ->  flushed  ->  remembered  ->  RocksDB
    write         dirty
    commit        freeze: dirty becomes frozen    (then the transaction)
                  post_commit: frozen is committed, and moves to unflushed
    periodically  flush: unflushed is written to RocksDB, and stays in memory as flushed
    over budget   evict: rows that are on disk are dropped from memory
    a request     remember: rows read from disk are kept, as they are likely to be read again

Together the layers correspond to the record cache of Kafka Streams. A user in a session is not read
again for each commit, and is written once for several commits. A committed row replaces older rows
of its key, so that memory holds many users rather than several versions of few. A remembered row
equals RocksDB's unless a layer above has a newer one, so remembered rows must be evicted before
the rows of that layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models._protocols import LookupResult
    from tables.layers import Layer, LayerBackend, Value

#: Estimated bytes of a key and its value, until the first flush.
ESTIMATED_ROW_BYTES = 200

#: Bytes of remembered rows in each partition: ten thousand users.
REMEMBERED_BYTES = 4 << 20

#: Number of flushes whose rows stay in memory. Most users in a session come back within half a
#: minute. Each further layer would be searched for every user who does not.
FLUSHED_LAYERS = 2


class RowLayers:
    """Uncommitted, committed and flushed rows of one partition."""

    def __init__(self, backend: LayerBackend) -> None:
        """Start without rows, with containers of ``backend``."""
        self.backend = backend
        #: Uncommitted changes. Chunks write to it directly.
        self.dirty: Layer
        #: The changes of a commit under way.
        self.frozen: Layer
        self._unflushed: Layer
        #: Newest first; the flush of the first may still be under way.
        self._flushed: list[Layer]
        self._remembered: Layer
        self._is_flushing: bool
        #: Number of completed flushes: an earlier read from disk may be outdated.
        self.flushes = 0
        self._entry_bytes = float(backend.row_size + ESTIMATED_ROW_BYTES)
        self.clear()

    def clear(self) -> None:
        """Drop all rows."""
        new = self.backend.layer
        self.dirty, self.frozen, self._unflushed, self._flushed = new(), new(), new(), []
        self._remembered = new()
        self._is_flushing = False

    def all(self) -> tuple[Layer, ...]:
        """Return all layers, newest first."""
        return self.dirty, self.frozen, self._unflushed, *self._flushed, self._remembered

    def find(self, keys: Sequence[bytes]) -> LookupResult:
        """Return those values of ``keys`` that are in memory."""
        return self.backend.find(self.all(), keys)

    def freeze(self) -> Layer:
        """Freeze dirty rows for a commit; new writes go to a fresh layer.

        Raises:
            RuntimeError: a commit is still in progress.
        """
        if len(self.frozen):
            msg = "a commit of this partition is still in progress"
            raise RuntimeError(msg)
        self.frozen, self.dirty = self.dirty, self.backend.layer()
        return self.frozen

    def post_commit(self) -> None:
        """Mark the frozen rows as committed."""
        known = len(self._unflushed)
        if known:
            self._unflushed.update(self.frozen)
        else:
            self._unflushed = self.frozen
        self.frozen = self.backend.layer()
        # What is being written must not change. Older rows of known keys have been dropped.
        for flushed in self._flushed[self._is_flushing :]:
            self.backend.drop(flushed, self._unflushed, known)
        self._flushed = [*filter(len, self._flushed)]

    def begin_flush(self) -> Layer:
        """Return the unflushed rows, which are to be written.

        Raises:
            RuntimeError: a flush is still in progress.
        """
        if self._is_flushing:
            msg = "the committed changes are already being written"
            raise RuntimeError(msg)
        changes, self._unflushed = self._unflushed, self.backend.layer()
        if len(changes):
            self.forget()
            self._flushed = [changes, *self._flushed[: FLUSHED_LAYERS - 1]]
            self._is_flushing = True
        return changes

    def end_flush(self, changes: Layer, size: int) -> None:
        """Mark the rows of :meth:`begin_flush` as written, with ``size`` bytes."""
        self._entry_bytes = self.backend.row_size + size / len(changes)
        self._is_flushing = False
        self.flushes += 1
        self.backend.drop(changes, self._unflushed)

    def remember(self, keys: Sequence[bytes], values: Sequence[Value]) -> None:
        """Keep rows read from disk; no flush may have ended since the read, see :attr:`flushes`.

        If the memory for them is full, all earlier ones are dropped.
        """
        layer, most = self._remembered, REMEMBERED_BYTES / self._entry_bytes
        for key, value in zip(keys, values, strict=True):
            if value is not None:
                if len(layer) >= most:
                    layer = self._remembered = self.backend.layer()
                layer[key] = value

    def forget(self) -> None:
        """Drop the remembered rows."""
        self._remembered = self.backend.layer()

    def has_changed(self, key: bytes) -> bool:
        """Whether ``key`` has uncommitted changes."""
        return key in self.dirty or key in self.frozen

    def evict(self, rows: float, linked: float) -> None:
        """Drop rows from memory that are on disk, oldest first, until both limits are kept.

        Arguments:
            rows: limit of :attr:`row_bytes`, in bytes.
            linked: limit of :attr:`linked_bytes`, in bytes.
        """
        while self.row_bytes > rows or self.linked_bytes > linked:
            if len(self._remembered):
                self.forget()
            elif len(self._flushed) > self._is_flushing:
                self._flushed.pop()
            else:
                return

    @property
    def dirty_bytes(self) -> float:
        """Estimated memory of ``dirty``, from the average row size of the last flush."""
        return len(self.dirty) * self._entry_bytes + self.backend.linked_bytes(self.dirty)

    @property
    def row_bytes(self) -> float:
        """Estimated memory of all rows in memory, without linked rows."""
        return sum(map(len, self.all())) * self._entry_bytes

    @property
    def linked_bytes(self) -> int:
        """Memory of the rows linked to those in memory: indexes of sealed ids."""
        return sum(map(self.backend.linked_bytes, self.all()))

    @property
    def unflushed_bytes(self) -> float:
        """Estimated memory of committed rows that are not flushed."""
        return len(self._unflushed) * self._entry_bytes

    @property
    def unflushed_linked_bytes(self) -> int:
        """Memory of the rows linked to these."""
        return self.backend.linked_bytes(self._unflushed)

    @property
    def uncommitted_keys(self) -> int:
        """Number of keys with uncommitted changes, those of a commit under way included."""
        return len(self.dirty) + len(self.frozen)
