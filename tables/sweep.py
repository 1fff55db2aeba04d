"""The sweep: a gradual search for expired keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from tables.rocks import RocksStore

T = TypeVar("T")

#: Most keys that one commit deletes; scans pause while this many are waiting.
MAX_KEYS_PER_COMMIT = 500


class Sweepable(Protocol):
    """The part of a partition's state that the sweep needs."""

    store: RocksStore
    stream_time: int | None

    @property
    def is_closed(self) -> bool:
        """Whether reads are impossible."""

    async def in_thread(self, function: Callable[[], T], /) -> T:
        """Run disk access in a thread."""

    def has_changed(self, key: bytes) -> bool:
        """Whether ``key`` has uncommitted changes."""

    def get(self, key: bytes) -> bytes | None:
        """Return the current value of ``key``."""

    def delete(self, key: bytes) -> None:
        """Delete ``key`` in the next commit."""


class Sweeper:
    """Scans a partition in key order, once per ``period``."""

    def __init__(
        self, state: Sweepable, is_expired: Callable[[bytes, int], bool], period: float
    ) -> None:
        """Sweep ``state``.

        Arguments:
            state: the partition's state.
            is_expired: whether a value is expired at a stream time in ms.
            period: seconds per scan of all keys.
        """
        self._state = state
        self._is_expired = is_expired
        self._period = period
        self._after: bytes | None = None
        self._found: list[bytes] = []

    def __bool__(self) -> bool:
        """Whether expired keys are to be deleted."""
        return bool(self._found)

    async def scan(self, seconds: float) -> None:
        """Scan the keys that are due for ``seconds`` of the period."""
        stream_time = self._state.stream_time
        if self._state.is_closed or stream_time is None or len(self._found) >= MAX_KEYS_PER_COMMIT:
            return
        store = self._state.store
        due = 100 + int(store.estimated_keys * seconds / self._period)
        items = await self._state.in_thread(lambda: list(store.items(self._after, due)))
        self._found += [key for key, value in items if self._is_expired(value, stream_time)]
        self._after = items[-1][0] if len(items) == due else None

    def delete_found(self) -> None:
        """Delete the found keys, unless they have changed or are no longer expired."""
        state = self._state
        found, self._found = self._found[:MAX_KEYS_PER_COMMIT], self._found[MAX_KEYS_PER_COMMIT:]
        for key in found:
            if not state.has_changed(key):
                value = state.get(key)
                if value is not None and self._is_expired(value, state.stream_time or 0):
                    state.delete(key)
